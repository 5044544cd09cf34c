//! The last hour as bars: one a minute, in a colour for each outcome.

use maud::{Markup, html};

use super::history::{Counts, MINUTES, OUTCOMES, minute};
use super::{Snapshot, total, utc};

/// The size of the picture, in units of its own, and of the part that holds bars.
const WIDTH: u64 = 740;
const HEIGHT: u64 = 194;
const LEFT: u64 = 64;
const BOTTOM: u64 = 164;
const TOP: u64 = 12;

/// From one bar to the next, and how wide one is.
const STEP: u64 = 11;
const BAR: u64 = 8;

/// The picture.
pub(super) fn plot(status: &Snapshot) -> Markup {
    let now = minute(status.now);
    let first = (now + 1).saturating_sub(MINUTES as u64);
    let of = |at: u64| status.memory.minutes.iter().find(|(minute, _)| *minute == at);
    let bars: Vec<_> = (first..=now).filter_map(of).collect();
    let most = bars.iter().map(|(_, counts)| total(counts)).max().unwrap_or_default();
    let top = round(most);
    let sum: u64 = bars.iter().map(|(_, counts)| total(counts)).sum();
    let label = format!("Conflicts in each of the last 60 minutes: {sum} in all, at most {most}");
    html! {
        svg role="img" aria-label=(label) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) {
            @for (share, number) in [(0, 0), (1, top / 2), (2, top)] {
                @let y = BOTTOM - (BOTTOM - TOP) * share / 2;
                line .grid x1=(LEFT) x2=(WIDTH - 8) y1=(y) y2=(y) {}
                @if share != 1 || top.is_multiple_of(2) {
                    text .axis x=(LEFT - 8) y=(y) dominant-baseline="middle" text-anchor="end" { (number) }
                }
            }
            @for (at, counts) in &bars {
                (bar(LEFT + (at - first) * STEP + 2, *at, counts, top))
            }
            @for (back, text) in [(59, "60 min ago"), (30, "30"), (0, "now")] {
                @let anchor = match back { 59 => "start", 0 => "end", _ => "middle" };
                @let shift = match back { 59 => 0, 0 => STEP, _ => STEP / 2 };
                text .axis x=(LEFT + (59 - back) * STEP + shift) y=(HEIGHT - 6)
                    text-anchor=(anchor) { (text) }
            }
        }
    }
}

/// One minute: its outcomes on top of each other.
fn bar(x: u64, at: u64, counts: &Counts, top: u64) -> Markup {
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at * 60);
    let named: Vec<_> = OUTCOMES.iter().zip(counts).filter(|(_, count)| **count > 0).collect();
    let told: Vec<_> = named.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let height = |count: u64| (BOTTOM - TOP) * count / top;
    let mut below = 0;
    html! {
        g data-minute=(at) {
            title { (utc(moment).get(11..16).unwrap_or_default()) " UTC: " (told.join(", ")) }
            @for (name, count) in named {
                @let from = height(below);
                @let to = { below += count; height(below).max(from + 1) };
                rect .(name) data-outcome=(name) data-count=(count)
                    x=(x) y=(BOTTOM - to) width=(BAR) height=(to - from) {}
            }
        }
    }
}

/// The next number that reads well.
fn round(most: u64) -> u64 {
    let mut unit = 1;
    while unit * 10 < most {
        unit *= 10;
    }
    [1, 2, 4, 6, 10].into_iter().map(|it| it * unit).find(|it| *it >= most).unwrap_or(most).max(2)
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn the_axis_ends_at_a_number_that_reads_well() {
        let ends = [0, 1, 3, 7, 11, 41, 100, 101, 999].map(round);
        assert_eq!(ends, [2, 2, 4, 10, 20, 60, 100, 200, 1000]);
    }
}
