//! Documents from files, folders and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use operator::Document;

/// What the standard input is called.
const STDIN: &str = "-";

/// Reads every document of every source, in the order in which they were named; a folder's files in the order of their names.
///
/// # Errors
/// A source that cannot be read or holds nothing, or the first document that is malformed.
pub fn read(sources: &[PathBuf], stdin: &mut dyn Read) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    let mut is_stdin_read = false;
    for source in sources {
        if source == Path::new(STDIN) {
            anyhow::ensure!(!is_stdin_read, "-f -: the standard input can be read once");
            is_stdin_read = true;
            let mut text = String::new();
            stdin.read_to_string(&mut text).context("-f -: cannot read the standard input")?;
            documents.extend(operator::parse("standard input", &text)?);
            continue;
        }
        for file in files_of(source)? {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).with_context(|| format!("-f {name}: cannot read it"))?;
            documents.extend(operator::parse(&name, &text)?);
        }
    }
    Ok(documents)
}

/// The file itself, or the YAML files of a folder. What is below its folders is for whoever names them.
fn files_of(source: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = source.display();
    let kind = std::fs::metadata(source).with_context(|| format!("-f {shown}: cannot read it"))?;
    if !kind.is_dir() {
        return Ok(vec![source.to_owned()]);
    }
    let entries = std::fs::read_dir(source).with_context(|| format!("-f {shown}: cannot list it"))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> =
        paths.collect::<Result<_, _>>().with_context(|| format!("-f {shown}: cannot list it"))?;
    files.retain(|path| path.is_file() && path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml"));
    anyhow::ensure!(!files.is_empty(), "-f {shown}: there is no *.yaml or *.yml in this folder");
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "apiVersion: ottery.dev/v1alpha1\nkind: Plan\nmetadata: {name: NAME}\nspec: {brand: nord, state: Draft, name: Solo, connections: 1, mapping: {bouquetIds: [1], outputs: [hls]}, prices: []}\n";

    /// A folder of its own, gone in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let path = std::env::temp_dir().join(format!("ottery-apply-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            for (name, text) in files {
                std::fs::write(path.join(name), text).unwrap();
            }
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn names(sources: &[PathBuf], stdin: &str) -> anyhow::Result<Vec<String>> {
        Ok(read(sources, &mut stdin.as_bytes())?.iter().map(Document::what).collect())
    }

    fn plan(name: &str) -> String {
        PLAN.replace("NAME", name)
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names_and_only_its_yaml() {
        let (one, two, other) = (plan("one"), plan("two"), "not yaml: [");
        let folder = Folder::new("order", &[("20.yml", &two), ("10.yaml", &one), ("notes.txt", other)]);
        assert_eq!(names(std::slice::from_ref(&folder.0), "").unwrap(), ["plan/one", "plan/two"]);
        let sources = [folder.0.join("20.yml"), PathBuf::from("-"), folder.0.join("10.yaml")];
        assert_eq!(names(&sources, &plan("piped")).unwrap(), ["plan/two", "plan/piped", "plan/one"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = Folder::new("bad", &[("a.yaml", "kind: [")]);
        let empty = Folder::new("empty", &[]);
        for (sources, part) in [
            (vec![folder.0.join("none.yaml")], "none.yaml: cannot read it"),
            (vec![folder.0.join("a.yaml")], "a.yaml, document 1: not YAML"),
            (vec![empty.0.clone()], "no *.yaml or *.yml"),
            (vec!["-".into()], "standard input, document 1: there is no document"),
        ] {
            let said = format!("{:#}", names(&sources, "").unwrap_err());
            assert!(said.contains(part), "{said}");
        }
        let twice = names(&["-".into(), "-".into()], &plan("one")).unwrap_err();
        assert!(twice.to_string().contains("once"), "{twice}");
    }
}
