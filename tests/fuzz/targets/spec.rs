//! Specifications for the lint.

pub(super) fn run(input: &[u8]) {
    for problem in xtask::problems(&super::text(input)) {
        assert!(problem.starts_with("openapi/text.yaml at /"), "{problem}");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![super::file("xtask/src/good.yaml")]
}
