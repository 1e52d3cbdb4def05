//! The rules of `NO_PROXY`. Erlang reads the variables: the VM's environment is not that of its operating system process.

use gun_rs_engine::transport::proxy::is_excepted;
use rustler::Binary;

/// Whether these rules except the host. What is no text excepts nothing, and no host is anything else.
#[rustler::nif(schedule = "DirtyCpu")]
fn proxy_is_excepted(rules: Binary<'_>, host: Binary<'_>) -> bool {
    matches!((str::from_utf8(&rules), str::from_utf8(&host)), (Ok(rules), Ok(host)) if is_excepted(rules, host))
}
