//! Tables as parquet files.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::Field;
use parquet::schema::types::Type;

use super::{Cell, Row, Table};
use crate::Error;

/// Reads the columns that hold one value a row, or a list of such; all others are left out.
pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let unusable = |message: String| Error::Unusable { path: path.into(), message };
    let cure = "fetch or write it again";
    // the library asserts what a broken file need not keep: tests/it/parquet.rs has found four such places
    let read = catch_unwind(AssertUnwindSafe(|| rows(file)));
    match read {
        Ok(Ok((columns, rows))) => {
            Ok(Table { path: path.into(), columns, rows, counts_rows: true, ..Table::default() })
        }
        // the library's own message may quote a cell
        Ok(Err(_)) => Err(unusable(format!("no parquet file, or a broken one; {cure}"))),
        Err(_) => Err(unusable(format!("a broken parquet file; {cure}"))),
    }
}

fn rows(file: File) -> Result<(Vec<String>, Vec<Row>), ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let schema = reader.metadata().file_metadata().schema();
    let fields: Vec<Arc<Type>> =
        schema.get_fields().iter().filter(|field| is_single(field) || is_list(field)).cloned().collect();
    let columns = fields.iter().map(|field| field.name().to_string()).collect();
    let flat = Type::group_type_builder(schema.name()).with_fields(fields).build()?;
    let mut rows = Vec::new();
    for (at, row) in reader.get_row_iter(Some(flat))?.enumerate() {
        let cells = row?.into_columns().into_iter().map(|(_, field)| cell(field)).collect();
        rows.push(Row { line: at + 1, cells });
    }
    Ok((columns, rows))
}

fn is_single(field: &Type) -> bool {
    field.is_primitive()
        && field.get_basic_info().has_repetition()
        && field.get_basic_info().repetition() != Repetition::REPEATED
}

/// Whether it is a list of single values, as the format lays lists out: a group, repeated within, of one value.
fn is_list(field: &Type) -> bool {
    let info = field.get_basic_info();
    let says_so = info.logical_type_ref() == Some(&LogicalType::List) || info.converted_type() == ConvertedType::LIST;
    let inner = |field: &Type| match field {
        Type::GroupType { fields, .. } if fields.len() == 1 => Some(fields[0].clone()),
        _ => None,
    };
    says_so && inner(field).and_then(|repeated| inner(&repeated)).is_some_and(|value| is_single(&value))
}

fn cell(field: Field) -> Cell {
    match field {
        Field::ListInternal(list) => {
            let has_nothing = list.elements().contains(&Field::Null);
            Cell::list(list.elements().iter().cloned().map(cell), has_nothing)
        }
        field => Cell::Text(text(field)),
    }
}

/// A value as csv would have it; nothing is no text.
fn text(field: Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text,
        Field::Bool(value) => value.to_string(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        Field::Float16(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        // some writers do not say that their bytes are text
        Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).unwrap_or_default(),
        other => other.to_string(),
    }
}
