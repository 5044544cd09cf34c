//! How many instructions the pure core takes for one of each thing that it does, counted by
//! valgrind, which counts the same each time: what has grown since the last change is seen on a busy
//! machine too.
//!
//! ```sh
//! cargo bench --bench core                # the figures, beside the last ones
//! cargo bench --bench core -- --check     # fails where one has grown by more than 5 %
//! cargo bench --bench core -- --bless     # writes them down as the last ones
//! ```

mod cases;
mod count;
mod figures;
mod replay;
mod server;

use std::env;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use cases::CASES;
use figures::Figures;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = env::args().skip(1).filter(|it| it != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(|_| Ok(ExitCode::SUCCESS)),
        ["--check"] => compare(|grown| {
            let failed = !grown.is_empty();
            if failed {
                eprintln!("grown by more than {} %: {}", figures::ALLOWED, grown.join(", "));
                eprintln!("if it has to be: cargo bench --bench core -- --bless, and say why");
            }
            Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }),
        ["--bless"] => {
            Figures::count()?.write()?;
            Ok(ExitCode::SUCCESS)
        }
        // What valgrind runs.
        [count::RUN, name, times] => {
            let case = CASES.iter().find(|case| case.name == name).context("no such case")?;
            (case.run)(times.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("it takes nothing, --check or --bless"),
    }
}

fn compare(
    verdict: impl FnOnce(Vec<&str>) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let (last, now) = (Figures::read()?, Figures::count()?);
    print!("{}", now.beside(&last));
    verdict(now.grown_since(&last))
}
