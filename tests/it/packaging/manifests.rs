//! The manifests for Kubernetes: that they are ones, that their probes tell the truth, and that they
//! leave a proxy the time to drain.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use saphyr::{LoadableYamlNode, Yaml};

use super::{longest_stop, read, root, settings};
use crate::shell::admin::{ADMIN, place};
use crate::shell::process::Process;
use crate::support::postgres::server;

/// One document of one of the files.
struct Manifest {
    file: String,
    yaml: Yaml<'static>,
}

impl Manifest {
    /// What stands at the end of these keys.
    fn at(&self, path: &str) -> &Yaml<'static> {
        get(&self.yaml, path).unwrap_or_else(|| panic!("no {path} in {}", self.file))
    }

    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_else(|| panic!("{path} is no text in {}", self.file))
    }

    /// The container that is the proxy's.
    fn proxy(&self) -> &Yaml<'static> {
        let pod = self.at("spec.template.spec");
        let lists = ["initContainers", "containers"].into_iter().filter_map(|it| get(pod, it));
        let mut containers = lists.flat_map(|list| list.as_vec().unwrap());
        containers.find(|it| it["name"].as_str() == Some("pgabsorb")).expect("the proxy")
    }
}

/// What stands at the end of these keys.
fn get<'a>(yaml: &'a Yaml<'static>, path: &str) -> Option<&'a Yaml<'static>> {
    path.split('.').try_fold(yaml, |yaml, key| yaml.as_mapping_get(key))
}

fn manifests() -> Vec<Manifest> {
    let files = fs::read_dir(root().join("docs/kubernetes")).unwrap();
    let mut manifests = Vec::new();
    for path in files.map(|file| file.unwrap().path()) {
        let text: &'static str = fs::read_to_string(&path).unwrap().leak();
        let file = path.display().to_string();
        let documents = Yaml::load_from_str(text).unwrap_or_else(|it| panic!("{file}: {it}"));
        manifests.extend(documents.into_iter().map(|yaml| Manifest { file: file.clone(), yaml }));
    }
    assert!(manifests.len() > 4);
    manifests
}

fn of_kind(kind: &str) -> Vec<Manifest> {
    let mut manifests = manifests();
    manifests.retain(|it| it.text("kind") == kind);
    assert!(!manifests.is_empty(), "no {kind}");
    manifests
}

/// The command of each probe of this name.
fn probes(name: &str) -> Vec<Vec<String>> {
    let path = format!("{name}.exec.command");
    let of = |it: &Manifest| {
        let command = get(it.proxy(), &path)?.as_vec().unwrap();
        Some(command.iter().map(|word| word.as_str().unwrap().to_owned()).collect())
    };
    let found: Vec<_> = of_kind("Deployment").iter().filter_map(of).collect();
    assert!(!found.is_empty(), "no {name}");
    found
}

/// Whether a probe's command is content, with another port in place of the one that it has.
fn is_content(command: &[String], port: &str, other: u16) -> bool {
    let [program, arguments @ .., script] = command else { panic!("{command:?}") };
    let place = format!("/127.0.0.1/{port} ");
    assert!(script.contains(&place), "{script}");
    let script = script.replace(&place, &format!("/127.0.0.1/{other} "));
    let mut command = Command::new(program);
    command.args(arguments).arg(script).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// A port that nobody listens on, for as long as the listener that is bound elsewhere lives.
fn nowhere() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn each_document_says_what_it_is_and_selects_its_own_pods() {
    for manifest in manifests() {
        assert!(
            !manifest.text("apiVersion").is_empty() && !manifest.text("metadata.name").is_empty()
        );
        if manifest.text("kind") == "Deployment" {
            let labels = manifest.at("spec.template.metadata.labels");
            assert_eq!(manifest.at("spec.selector.matchLabels"), labels);
        }
    }
}

#[test]
fn the_rules_have_no_mistake_and_the_proxy_is_given_the_time_to_drain() {
    let rules = of_kind("ConfigMap");
    for deployment in of_kind("Deployment") {
        let volumes = deployment.at("spec.template.spec.volumes").as_vec().unwrap();
        let name = get(&volumes[0], "configMap.name").unwrap().as_str().unwrap();
        let map = rules.iter().find(|it| it.text("metadata.name") == name).unwrap();
        let settings =
            settings(map.at("data").as_mapping_get("rules.toml").unwrap().as_str().unwrap());
        let grace = deployment.at("spec.template.spec.terminationGracePeriodSeconds");
        let grace = Duration::from_secs(grace.as_integer().unwrap().try_into().unwrap());
        assert!(grace > longest_stop(&settings.limits), "{}", deployment.file);
        let probed = get(deployment.proxy(), "readinessProbe").is_some();
        assert_eq!(settings.admin.is_some(), probed, "{}", deployment.file);
    }
}

#[test]
fn a_service_leads_to_a_port_of_the_container() {
    let deployments = of_kind("Deployment");
    for service in of_kind("Service") {
        let selector = service.at("spec.selector");
        let selects = |it: &&Manifest| it.at("spec.template.metadata.labels") == selector;
        let pod = deployments.iter().find(selects).unwrap();
        let target = &service.at("spec.ports").as_vec().unwrap()[0]["targetPort"];
        let port = &get(pod.proxy(), "ports").unwrap().as_vec().unwrap()[0];
        assert_eq!(port["name"], *target);
        assert_eq!(port["containerPort"].as_integer(), Some(7432));
    }
}

#[test]
fn the_proxy_may_do_nothing_that_it_need_not() {
    for deployment in of_kind("Deployment") {
        let security = get(deployment.proxy(), "securityContext").unwrap();
        assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
        assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true));
        assert_eq!(security["capabilities"]["drop"].as_vec().unwrap()[0].as_str(), Some("ALL"));
    }
}

#[test]
fn a_proxy_that_serves_is_alive_whatever_the_server_is() {
    let upstream = format!("127.0.0.1:{}", nowhere());
    let proxy = Process::start("", &upstream);
    for name in ["livenessProbe", "startupProbe"] {
        for probe in probes(name) {
            assert!(is_content(&probe, "7432", proxy.address().port()), "{name}");
            assert!(!is_content(&probe, "7432", nowhere()), "{name}");
            let dockerfile = read("Dockerfile");
            assert!(dockerfile.contains(&format!("'{}'", probe[2])), "the Dockerfile has another");
        }
    }
}

#[test]
fn a_proxy_is_ready_where_its_server_is_reached() {
    let port = |proxy: &Process| place(proxy).rsplit_once(':').unwrap().1.parse().unwrap();
    let ready = Process::start(ADMIN, &server().address().to_string());
    let cut_off = Process::start(ADMIN, &format!("127.0.0.1:{}", nowhere()));
    for probe in probes("readinessProbe") {
        assert!(is_content(&probe, "9432", port(&ready)));
        assert!(!is_content(&probe, "9432", port(&cut_off)));
        assert!(!is_content(&probe, "9432", nowhere()));
    }
}
