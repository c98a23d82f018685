//! The table as Markdown.

use std::io::{Result, Write};

use bundle::Embedding;
use model::Operation;
use roles::schedule::Schedule;

use super::results::{Length, Results, ratios};
use super::run::Row;

fn mega(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

fn line(out: &mut dyn Write, cells: &[String]) -> Result<()> {
    writeln!(out, "| {} |", cells.join(" | "))
}

fn head(out: &mut dyn Write, names: &[&str]) -> Result<()> {
    writeln!(out, "\n| {} |\n|{}", names.join(" | "), "---|".repeat(names.len()))
}

impl Results<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<()> {
        let Results { options, layers: [run, all], lengths, .. } = self;
        for length in lengths {
            writeln!(
                out,
                "## {}, {all} layers, {} tokens, {} embedding\n",
                options.model.name(),
                length.tokens,
                Embedding::from(options.embedding)
            )?;
            if all > run {
                writeln!(
                    out,
                    "Extrapolated: {run} layers ran. Seconds of the layers before the last stand for those that did not; \
                     rounds and bytes are planned for all.\n"
                )?;
            }
            writeln!(
                out,
                "Medians of {} requests after one that warms up; {}.",
                options.repeat,
                options.link.describe()
            )?;
            length.write_operations(out)?;
            length.write_runs(out)?;
            length.write_published(out, &options.model.name())?;
        }
        Ok(())
    }
}

impl Length {
    fn write_operations(&self, out: &mut dyn Write) -> Result<()> {
        head(
            out,
            &[
                "engine, functions",
                "operation",
                "online s",
                "MB both ways",
                "rounds",
                "MB dealt",
                "MB as SecFormer counts",
            ],
        )?;
        for run in &self.runs {
            let total = run.total();
            let named = Operation::ALL.iter().map(|operation| operation.name()).zip(&run.rows);
            for (name, row) in named.chain([("Total", &total)]) {
                let Row { seconds, online_bytes, rounds, dealt_bytes, secformer_bytes } = row;
                let counted = secformer_bytes.map_or(String::new(), mega);
                let (seconds, rounds) = (format!("{seconds:.4}"), rounds.to_string());
                line(
                    out,
                    &[run.name(), name.into(), seconds, mega(*online_bytes), rounds, mega(*dealt_bytes), counted],
                )?;
            }
        }
        Ok(())
    }

    fn write_runs(&self, out: &mut dyn Write) -> Result<()> {
        head(out, &["engine, functions", "offline s, as run", "online s, as run", "correlations", "restarts", "note"])?;
        for run in &self.runs {
            let offline = match run.schedule {
                Schedule::Ahead => format!("{:.4}", run.costs.offline_seconds),
                Schedule::Stream => "while online".into(),
            };
            let note = match run.engine.functions() {
                functions if functions.fit_two_quad() => String::new(),
                functions => format!("forced: these functions fit {}", functions.student()),
            };
            let (online, restarts) = (format!("{:.4}", run.costs.online_seconds), run.costs.restarts.to_string());
            line(out, &[run.name(), offline, online, run.schedule.to_string(), restarts, note])?;
        }
        Ok(())
    }

    fn write_published(&self, out: &mut dyn Write, model: &str) -> Result<()> {
        writeln!(
            out,
            "\nSecFormer as published and timed (planned: seven steps of division, all layers of {model}, private table, its \
             own counting):"
        )?;
        head(out, &["operation", "GB planned", "GB published"])?;
        let published = self.as_published.published;
        let write = |figure: Option<f64>| figure.map_or("".into(), |gb| format!("{gb:.3}"));
        for operation in Operation::ALL {
            let at = operation.index();
            let planned = write(Some(self.as_published.planned[at]));
            line(out, &[operation.name().into(), planned, write(published.map(|gb| gb[at]))])?;
        }
        let total = self.as_published.planned.iter().sum();
        line(out, &["Total".into(), write(Some(total)), write(published.map(|gb| gb.iter().sum()))])?;
        if let Some(all) = ratios(&self.runs) {
            let said = all.map(|(name, ratio)| format!("{} {ratio:.1}", name.replace('_', " ")));
            writeln!(out, "\nSecFormer's functions on shares over masked wires, in total: {}.\n", said.join(", "))?;
        }
        Ok(())
    }
}
