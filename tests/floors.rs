//! The house as `docs/architecture.md` draws it: floors, rooms, and no arrow that runs back up.
//!
//! Reads the sources and holds every path to a module of the crate against the table of floors. What tests use is
//! left out, as is what macros hide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use petgraph::graphmap::DiGraphMap;
use syn::visit::Visit;

/// Segments of a path, from the crate's root on.
type Module = Vec<String>;

/// A file of the crate: what it is called, and what it names.
struct Source {
    file: PathBuf,
    /// Texts in quotes, documentation aside.
    texts: Vec<String>,
    /// Absolute paths that it names.
    paths: Vec<Module>,
    /// Names that it imports, which its children and others may reach through it.
    names: BTreeMap<String, Module>,
}

/// Collects paths from a file's syntax.
struct Collector<'a> {
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    paths: Vec<Module>,
    names: BTreeMap<String, Module>,
    texts: Vec<String>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

impl Collector<'_> {
    /// A path as written, from the crate's root on; `None` where it leads out of the crate.
    fn absolute(&self, written: &[String]) -> Option<Module> {
        let (first, rest) = written.split_first()?;
        let mut path = match first.as_str() {
            "crate" => Module::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => {
                let child = [self.module.as_slice(), std::slice::from_ref(first)].concat();
                return self.modules.contains(&child).then(|| [self.module.as_slice(), written].concat());
            }
        };
        for segment in rest {
            match segment.as_str() {
                "super" => drop(path.pop()?),
                _ => path.push(segment.clone()),
            }
        }
        Some(path)
    }

    fn import(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.name(before.last().cloned().unwrap_or_default(), before);
            }
            syn::UseTree::Name(name) => self.name(name.ident.to_string(), &with(&name.ident)),
            syn::UseTree::Rename(rename) => self.name(rename.rename.to_string(), &with(&rename.ident)),
            syn::UseTree::Glob(_) => self.paths.extend(self.absolute(before)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
        }
    }

    fn name(&mut self, name: String, written: &[String]) {
        if let Some(path) = self.absolute(written) {
            self.names.insert(name, path.clone());
            self.paths.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.texts.push(text.value());
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        fn texts(tokens: proc_macro2::TokenStream, found: &mut Vec<String>) {
            for token in tokens {
                match token {
                    proc_macro2::TokenTree::Group(group) => texts(group.stream(), found),
                    proc_macro2::TokenTree::Literal(literal) => {
                        found.extend(
                            syn::parse_str::<syn::LitStr>(&literal.to_string()).map(|text| text.value()),
                        );
                    }
                    _ => {}
                }
            }
        }
        texts(call.tokens.clone(), &mut self.texts);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.paths.extend(self.absolute(&written));
        syn::visit::visit_path(self, path);
    }
}

/// All files below `src`, by module; those of the programs aside.
fn sources() -> BTreeMap<Module, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path != root.join("bin") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                files.push(path);
            }
        }
    }
    let module = |file: &Path| -> Module {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module =
            inside.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        module
    };
    let modules: BTreeSet<Module> = files.iter().map(|file| module(file)).collect();
    let read = |file: PathBuf| {
        let module = module(&file);
        let syntax = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut found = Collector {
            module: &module,
            modules: &modules,
            paths: Vec::new(),
            names: BTreeMap::new(),
            texts: Vec::new(),
        };
        found.visit_file(&syntax);
        let (paths, names, texts) = (found.paths, found.names, found.texts);
        (module.clone(), Source { file: file.strip_prefix(&root).unwrap().to_owned(), paths, names, texts })
    };
    files.into_iter().map(read).collect()
}

/// The module in which what a path names is defined, through whatever hands it on.
fn defined(sources: &BTreeMap<Module, Source>, path: &[String], steps: usize) -> Option<Module> {
    let mut module = Module::new();
    for (i, segment) in path.iter().enumerate() {
        let inner = [module.as_slice(), std::slice::from_ref(segment)].concat();
        if sources.contains_key(&inner) {
            module = inner;
            continue;
        }
        let imported = sources.get(&module)?.names.get(segment);
        return match imported {
            Some(target) if steps > 0 => {
                defined(sources, &[target.as_slice(), &path[i + 1..]].concat(), steps - 1)
            }
            _ => Some(module),
        };
    }
    Some(module)
}

/// Which file uses which.
fn arrows(sources: &BTreeMap<Module, Source>) -> BTreeSet<(Module, Module)> {
    let mut arrows = BTreeSet::new();
    for (from, source) in sources {
        let targets = source.paths.iter().filter_map(|path| defined(sources, path, 8));
        arrows.extend(targets.filter(|to| to != from).map(|to| (from.clone(), to)));
    }
    arrows
}

/// The floor of each room, as the table in `docs/architecture.md` has it.
fn floors() -> BTreeMap<String, usize> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    let mut floors = BTreeMap::new();
    let table = text.split("| floor |").nth(1).expect("the table of floors");
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let floor: usize = cells[1].parse().unwrap_or_else(|_| panic!("no floor: {row}"));
        for room in cells[2].split('`').skip(1).step_by(2) {
            let room = room.trim_end_matches('/').trim_end_matches(".rs").to_owned();
            assert!(floors.insert(room.clone(), floor).is_none(), "`{room}` stands twice in the table");
        }
    }
    floors
}

fn room(module: &Module) -> &str {
    module.first().map_or("", String::as_str)
}

#[test]
fn every_room_uses_only_what_stands_below_it() {
    let (sources, floors) = (sources(), floors());
    let rooms: BTreeSet<&str> = sources.keys().map(room).filter(|room| !room.is_empty()).collect();
    let known: BTreeSet<&str> = floors.keys().map(String::as_str).collect();
    assert_eq!(rooms, known, "rooms of the source (left) and of the table (right)");
    let mut upwards = Vec::new();
    let arrows = arrows(&sources);
    assert!(arrows.len() > 500, "only {} arrows were found", arrows.len());
    for (from, to) in &arrows {
        if let (Some(below), Some(above)) = (floors.get(room(from)), floors.get(room(to)))
            && below < above
        {
            upwards.push(format!(
                "{} (floor {below}) uses {} (floor {above})",
                sources[from].file.display(),
                sources[to].file.display()
            ));
        }
    }
    assert!(upwards.is_empty(), "arrows that run up:\n{}", upwards.join("\n"));
}

#[test]
fn files_form_no_circles() {
    let sources = sources();
    // What a folder's mod.rs hands on is followed to where it is defined; what it defines itself is what its files
    // have in common, and stands on both sides of them.
    let facade = |module: &Module| sources[module].file.ends_with("mod.rs") || module.is_empty();
    let arrows = arrows(&sources);
    let mut graph = DiGraphMap::<&Module, ()>::new();
    for (from, to) in &arrows {
        if room(from) != room(to) || (!facade(from) && !facade(to)) {
            graph.add_edge(from, to, ());
        }
    }
    let circles: Vec<String> = petgraph::algo::tarjan_scc(&graph)
        .into_iter()
        .filter(|part| part.len() > 1)
        .map(|part| {
            let files: Vec<String> =
                part.iter().map(|module| sources[*module].file.display().to_string()).collect();
            files.join(", ")
        })
        .collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

#[test]
fn the_check_shares_nothing_with_what_it_checks() {
    let (sources, mut open) = (sources(), Vec::new());
    let arrows = arrows(&sources);
    open.extend(sources.keys().filter(|module| room(module) == "verify"));
    assert!(open.len() > 10, "the files of verify");
    let mut reached: BTreeSet<&Module> = open.iter().copied().collect();
    while let Some(module) = open.pop() {
        let next = arrows.iter().filter(|(from, _)| from == module).map(|(_, to)| to);
        open.extend(next.filter(|to| !to.is_empty() && reached.insert(to)));
    }
    let shared = ["forward", "methods", "tasks", "plan", "build", "insert", "patch"];
    let found: Vec<String> = reached
        .iter()
        .filter(|module| shared.contains(&room(module)))
        .map(|module| sources[*module].file.display().to_string())
        .collect();
    assert!(found.is_empty(), "verify leads to {}", found.join(", "));
}

/// Operators are told apart by their kind; how a file spells them is known in one place.
#[test]
fn no_operator_is_told_by_its_text() {
    let sources = sources();
    let kinds = &sources[&Module::from(["graph".to_owned(), "kind".to_owned()])].texts;
    assert!(
        kinds.iter().any(|text| text == "SoftMax") && kinds.len() > 100,
        "the spellings of graph/kind.rs"
    );
    // The name of a form, which is that of an operator as well.
    let others = ["OneHot"];
    let mut found = Vec::new();
    for source in sources.values().filter(|source| !source.file.ends_with("graph/kind.rs")) {
        let texts =
            source.texts.iter().filter(|text| kinds.contains(text) && !others.contains(&text.as_str()));
        found.extend(texts.map(|text| format!("{}: \"{text}\"", source.file.display())));
    }
    assert!(found.is_empty(), "operators as text:\n{}", found.join("\n"));
}
