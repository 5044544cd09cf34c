//! Numbers that are known elsewhere, and asked for when all are: where each rule stands, the limit
//! of sessions, the log lines that were lost.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::proxy::LostLines;
use crate::proxy::memory::Memory;
use crate::proxy::ruling::Rulings;

/// Whom to ask.
#[derive(Debug)]
pub(in crate::proxy) struct Standing {
    pub(in crate::proxy) rulings: Arc<Rulings>,
    pub(in crate::proxy) lost_lines: LostLines,
    pub(in crate::proxy) memory: Arc<Memory>,
    /// Sessions that there may be.
    pub(in crate::proxy) limit: usize,
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let limit = ConstGauge::new(i64::try_from(self.limit).unwrap_or(i64::MAX));
        limit.encode(encoder.encode_descriptor(
            "sessions_limit",
            "Sessions that there may be",
            None,
            MetricType::Gauge,
        )?)?;
        let held = i64::try_from(self.memory.held()).unwrap_or(i64::MAX);
        ConstGauge::new(held).encode(encoder.encode_descriptor(
            "session_memory",
            "Bytes that all sessions keep of what they were sent, in steps of 16 KiB each",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?)?;
        let generation = i64::try_from(self.rulings.generation()).unwrap_or(i64::MAX);
        ConstGauge::new(generation).encode(encoder.encode_descriptor(
            "config_generation",
            "The number of the rules in force",
            None,
            MetricType::Gauge,
        )?)?;
        ConstCounter::new(self.lost_lines.count()).encode(encoder.encode_descriptor(
            "log_lines_dropped",
            "Lines that the log has lost",
            None,
            MetricType::Counter,
        )?)?;
        let mut suspended = encoder.encode_descriptor(
            "rule_suspended",
            "1 while a rule that absorbs only observes, for this reason",
            None,
            MetricType::Gauge,
        )?;
        for (rule, now) in self.rulings.written() {
            for (reason, holds) in [("expired", now.expired), ("over_limit", now.over_limit)] {
                let labels = [("rule", rule.id.as_str()), ("reason", reason)];
                ConstGauge::new(i64::from(holds)).encode(suspended.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
