//! Every input of the corpus through its target, without libFuzzer.

use std::path::Path;

use mcp_ext_fuzz::TARGETS;

#[test]
fn the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.join(target.name)).expect(target.name) {
            let path = entry.expect("an entry").path();
            let input = std::fs::read(&path).expect("a file");
            // Shown when the target panics.
            println!("{}", path.display());
            (target.run)(&input);
            inputs += 1;
        }
        assert!(inputs >= 5, "{} inputs of {}", inputs, target.name);
    }
    let directories = std::fs::read_dir(corpus).expect("the corpus").count();
    assert_eq!(directories, TARGETS.len(), "a directory is of no target");
}
