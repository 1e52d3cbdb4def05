//! How the library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // The VM closes a library whose module is purged, while the runtime's threads may still run its code.
        Ok("linux") => println!("cargo:rustc-link-arg-cdylib=-Wl,-z,nodelete"),
        // The symbols of the NIF interface are in the VM, and known only when it loads the library.
        Ok("macos") => {
            println!("cargo:rustc-link-arg-cdylib=-undefined");
            println!("cargo:rustc-link-arg-cdylib=dynamic_lookup");
        }
        _ => {}
    }
}
