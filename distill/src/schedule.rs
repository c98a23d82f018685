//! The learning rate, step by step.

/// How the learning rate moves over a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateShape {
    /// The same from the first step to the last.
    Constant,
    /// Up in a straight line over a share of the steps, then down to zero.
    WarmUp(f64),
}

/// The learning rate of each of `steps` steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateSchedule {
    /// The largest rate.
    pub peak: f64,
    /// How it moves.
    pub shape: RateShape,
    /// Steps in the stage.
    pub steps: u64,
}

impl RateSchedule {
    /// The rate of a step, from 0.
    pub fn rate(&self, step: u64) -> f64 {
        match self.shape {
            RateShape::Constant => self.peak,
            RateShape::WarmUp(share) => {
                let warm = (share * self.steps as f64).ceil() as u64;
                if step < warm {
                    self.peak * (step + 1) as f64 / warm as f64
                } else {
                    let left = self.steps.saturating_sub(step) as f64;
                    self.peak * left / self.steps.saturating_sub(warm).max(1) as f64
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_climbs_to_its_peak_and_falls_to_nearly_nothing() {
        let schedule = RateSchedule { peak: 1.0, shape: RateShape::WarmUp(0.1), steps: 100 };
        assert!((schedule.rate(0) - 0.1).abs() < 1e-12);
        assert_eq!(schedule.rate(9), 1.0);
        assert_eq!(schedule.rate(10), 1.0);
        assert!((schedule.rate(55) - 0.5).abs() < 1e-12);
        assert!(schedule.rate(99) > 0.0 && schedule.rate(99) < 0.02);
    }

    #[test]
    fn odd_numbers_of_steps_do_no_harm() {
        for (steps, share) in [(0, 0.1), (1, 0.1), (1, 1.0), (3, 0.0)] {
            let schedule = RateSchedule { peak: 1.0, shape: RateShape::WarmUp(share), steps };
            assert!((0..=steps).all(|step| schedule.rate(step).is_finite()));
        }
        assert_eq!(RateSchedule { peak: 0.5, shape: RateShape::Constant, steps: 10 }.rate(9), 0.5);
    }
}
