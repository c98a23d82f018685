//! The training curves as a picture.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;
use serde_json::Value;

use crate::atomic;
use crate::state::Stage;

/// The picture's name in the output folder.
pub const NAME: &str = "training_curves.svg";
/// Pixels of one panel.
const PANEL: (u32, u32) = (480, 280);

type Points = Vec<(f64, f64)>;

/// Draws, for each stage of a log, its loss and the score `metric` (`eval_accuracy`) over the run's steps.
pub fn write(path: &Path, log: &[Value], metric: &str) -> Result<()> {
    atomic::write(path, draw(log, metric)?.as_bytes())
}

fn draw(log: &[Value], metric: &str) -> Result<String> {
    let stages = [Stage::Teacher, Stage::Layers, Stage::Prediction, Stage::Norms].map(Stage::name);
    let rows: Vec<(&str, [Points; 2])> = stages
        .into_iter()
        .map(|stage| (stage, [points(log, stage, "loss"), points(log, stage, metric)]))
        .filter(|(_, curves)| curves.iter().any(|points| !points.is_empty()))
        .collect();
    let mut svg = String::new();
    {
        let size = (2 * PANEL.0, PANEL.1 * rows.len().max(1) as u32);
        let picture = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        picture.fill(&WHITE)?;
        let panels = picture.split_evenly((rows.len().max(1), 2));
        let names = ["loss", metric.trim_start_matches("eval_")];
        let curves = rows.iter().flat_map(|(stage, curves)| curves.iter().zip(names).map(move |curve| (stage, curve)));
        for (panel, (stage, (points, name))) in panels.iter().zip(curves) {
            let ((left, right), (low, high)) = (range(points, |p| p.0), range(points, |p| p.1));
            let mut chart = ChartBuilder::on(panel)
                .caption(format!("{stage}: {name}"), ("sans-serif", 16))
                .margin(10)
                .x_label_area_size(32)
                .y_label_area_size(52)
                .build_cartesian_2d(left..right, low..high)?;
            let mut mesh = chart.configure_mesh();
            mesh.x_desc("step").x_labels(6).y_labels(6).light_line_style(TRANSPARENT);
            // steps are whole numbers
            mesh.x_label_formatter(&|step| format!("{step:.0}")).draw()?;
            chart.draw_series(LineSeries::new(points.iter().copied(), BLUE.stroke_width(2)))?;
            // a line through one point is invisible, so few points are also drawn as circles
            if points.len() < 40 {
                chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, BLUE.filled())))?;
            }
        }
        picture.present()?;
    }
    svg.push('\n');
    Ok(svg)
}

/// The values that a stage's entries have under a name; what is not a finite number is left out.
fn points(log: &[Value], stage: &str, name: &str) -> Points {
    let number = |entry: &Value, name: &str| entry[name].as_f64().filter(|number| number.is_finite());
    let entries = log.iter().filter(|entry| entry["stage"] == stage);
    entries.filter_map(|entry| Some((number(entry, "step")?, number(entry, name)?))).collect()
}

/// From the least to the largest coordinate, with room around it.
fn range(points: &Points, of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let least = points.iter().map(&of).reduce(f64::min).unwrap_or(0.0);
    let most = points.iter().map(&of).reduce(f64::max).unwrap_or(1.0);
    let room = if most > least { 0.05 * (most - least) } else { 0.5 * least.abs().max(1.0) };
    (least - room, most + room)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stage_has_two_panels_and_a_curve_in_each() {
        let log = [
            json!({"stage": "teacher", "step": 4, "loss": 0.7}),
            json!({"stage": "teacher", "step": 8, "loss": 0.4}),
            json!({"stage": "teacher", "step": 8, "eval_f1": 0.75, "eval_loss": 0.5}),
            json!({"stage": "stage 2", "step": 12, "loss": null}),
            json!({"stage": "stage 2", "step": 12, "eval_f1": 0.8}),
        ];
        let svg = draw(&log, "eval_f1").unwrap();
        for title in ["teacher: loss", "teacher: f1", "stage 2: loss", "stage 2: f1"] {
            assert!(svg.contains(title), "{title} in {svg}");
        }
        assert!(!svg.contains("stage 1:"));
        assert_eq!(svg.matches("<circle").count(), 2 + 1 + 1);
        assert!(draw(&[], "eval_f1").unwrap().starts_with("<svg"));
    }
}
