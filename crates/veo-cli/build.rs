//! A release build needs no library of a GNU system but libc: GCC's unwinder, which Rust's standard library asks for, is
//! linked into it.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
