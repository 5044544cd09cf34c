//! `pgabsorb run` and what it is told by arguments, variables and the rules file.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::one_query;
use super::process::Process;
use crate::support::postgres::server;

#[test]
fn variables_say_what_arguments_do_not() {
    let upstream = server().address().to_string();
    let by_variables = Process::run("proxy.upstream = '127.0.0.1:1'", |command| {
        command.env("PGABSORB_LISTEN", "127.0.0.1:0,127.0.0.2:0");
        command.env("PGABSORB_UPSTREAM", &upstream);
    });
    assert_eq!(by_variables.addresses().len(), 2);
    let reply = one_query(connect(&by_variables), "SELECT 'reached'");
    assert!(reply.contains("reached"), "{reply}");

    let by_arguments = Process::run("", |command| {
        command.env("PGABSORB_LISTEN", "127.0.0.2:0").env("PGABSORB_UPSTREAM", "127.0.0.1:1");
        command.args(["--listen", "127.0.0.3:0", "--upstream", &upstream]);
    });
    assert_eq!(by_arguments.addresses().len(), 1);
    assert_eq!(by_arguments.address().ip().to_string(), "127.0.0.3");
    let reply = one_query(connect(&by_arguments), "SELECT 'reached'");
    assert!(reply.contains("reached"), "{reply}");
}

#[test]
fn a_rules_file_with_mistakes_is_refused_with_the_place_of_each() {
    let rules = "\
[proxy]
upstream = '127.0.0.1:5432'
listn = '127.0.0.1:0'
[limits]
connections = 'many'
[[rule]]
id = 'A'
constraint = '*'
";
    let said = Process::spawn(rules, |_| {}).failure();
    for place in ["rules.toml:3:1: ", "rules.toml:5:15: ", "rules.toml:7:6: ", "rules.toml:8:14: "]
    {
        assert!(said.contains(place), "{place}\n{said}");
    }
    assert!(said.contains("\"listen\"") || said.contains("`listen`"), "{said}");
}

#[test]
fn a_rules_file_that_is_not_there_is_named() {
    let said = Process::spawn("", |command| {
        command.args(["--config", "/nonexistent/rules.toml"]);
    })
    .failure();
    assert!(said.contains("cannot read /nonexistent/rules.toml: No such file"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = Process::spawn("", |command| {
        command.args(["--listen", &address, "--upstream", "127.0.0.1:1"]);
    })
    .failure();
    assert!(
        said.contains(&format!("cannot listen on {address}: Address already in use")),
        "{said}"
    );
}

#[test]
fn a_log_file_that_cannot_be_written_is_named() {
    let rules = "log.file = '/nonexistent/log'\nproxy.upstream = '127.0.0.1:1'";
    let said = Process::spawn(rules, |command| {
        command.args(["--listen", "127.0.0.1:0"]);
    })
    .failure();
    assert!(said.contains("cannot open the log file /nonexistent/log: No such file"), "{said}");
}

fn connect(proxy: &Process) -> std::net::TcpStream {
    std::net::TcpStream::connect(proxy.address()).unwrap()
}

#[test]
fn fewer_descriptors_than_the_sessions_need_are_told_at_the_start() {
    let limited = |descriptors: &str| {
        let option = format!("--nofile={descriptors}");
        Process::run("limits = { connections = 200, logins = 100 }", |command| {
            let mut limited = Command::new("prlimit");
            limited.arg(option).arg(command.get_program()).args(command.get_args());
            limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            limited.args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]);
            limited.stdout(Stdio::piped()).stderr(Stdio::piped());
            *command = limited;
        })
    };
    limited("540:540").output.wait_for("fewer descriptors", 1);
    let raised = limited("100:1000");
    raised.signal("TERM");
    raised.errors.wait_for("pgabsorb stopped", 1);
    assert!(!raised.output.text().contains("descriptor"), "{}", raised.output.text());
}
