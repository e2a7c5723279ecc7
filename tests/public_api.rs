// SPDX-License-Identifier: MIT
//! What the crate offers to Rust is what abi/rust.txt lists: types, functions and traits, read off
//! the source. `scripts/check-abi --accept` writes the list anew.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Fields, File, ImplItem, Item, Visibility, parse_quote};

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether an item is for this repository alone.
fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|each| {
        each.path().is_ident("doc")
            && each.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden")
    })
}

/// Leaves what a caller must heed.
fn strip(attributes: &mut Vec<Attribute>) {
    attributes.retain(|each| {
        ["derive", "must_use", "non_exhaustive"].iter().any(|name| each.path().is_ident(name))
    });
}

fn read(path: &Path) -> File {
    syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap()
}

/// An item as callers see it; none if they do not.
fn seen(mut item: Item) -> Option<Item> {
    match &mut item {
        Item::Struct(it) if is_public(&it.vis) => {
            strip(&mut it.attrs);
            if let Fields::Named(fields) = &mut it.fields {
                let all = std::mem::take(&mut fields.named);
                fields.named = all.into_iter().filter(|field| is_public(&field.vis)).collect();
            }
            it.fields.iter_mut().for_each(|field| strip(&mut field.attrs));
        }
        Item::Impl(it) if it.trait_.is_some() => {
            strip(&mut it.attrs);
            it.items.clear();
        }
        Item::Impl(it) => {
            it.items.retain(|item| match item {
                ImplItem::Fn(it) => is_public(&it.vis),
                ImplItem::Const(it) => is_public(&it.vis),
                ImplItem::Type(it) => is_public(&it.vis),
                _ => true,
            });
            for item in &mut it.items {
                if let ImplItem::Fn(it) = item {
                    strip(&mut it.attrs);
                    it.block = parse_quote!({});
                }
            }
            if it.items.is_empty() {
                return None;
            }
        }
        Item::Enum(it) if is_public(&it.vis) => strip(&mut it.attrs),
        Item::Trait(it) if is_public(&it.vis) => strip(&mut it.attrs),
        Item::Type(it) if is_public(&it.vis) => strip(&mut it.attrs),
        Item::Const(it) if is_public(&it.vis) => strip(&mut it.attrs),
        Item::Fn(it) if is_public(&it.vis) => {
            strip(&mut it.attrs);
            it.block = parse_quote!({});
        }
        Item::Macro(it) if it.attrs.iter().any(|each| each.path().is_ident("macro_export")) => (),
        Item::Mod(it) if is_public(&it.vis) && !is_hidden(&it.attrs) => strip(&mut it.attrs),
        Item::Use(it) if is_public(&it.vis) => strip(&mut it.attrs),
        _ => return None,
    }
    Some(item)
}

/// The sources of the typed interface, and that of the crate's root.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut typed: Vec<_> =
        fs::read_dir(root.join("src/typed")).unwrap().map(|each| each.unwrap().path()).collect();
    typed.retain(|path| !path.ends_with("mod.rs"));
    typed.sort();
    typed.insert(0, root.join("src/lib.rs"));
    typed
}

fn listing(root: &Path) -> String {
    let mut list = String::from(
        "What the crate offers to Rust. The functions of the module abi are those of C.\n\
         Written by scripts/check-abi --accept.\n",
    );
    for source in sources(root) {
        let mut file = read(&source);
        file.attrs.clear();
        file.items = file.items.into_iter().filter_map(seen).collect();
        assert!(!file.items.is_empty(), "{} has nothing to offer", source.display());
        list += "\n";
        list += &prettyplease::unparse(&file);
    }
    list
}

#[test]
fn the_crate_offers_what_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (path, now) = (root.join("abi/rust.txt"), listing(root));
    if std::env::var_os("SLAB_ACCEPT_PUBLIC_API").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    let differs = |a: &str, b: &str, mark: &str| -> String {
        let only = a.lines().filter(|line| !b.lines().any(|other| other == *line));
        only.map(|line| format!("{mark}{line}\n")).collect()
    };
    assert!(
        before == now,
        "what the crate offers has changed:\n{}{}if that is meant, run: scripts/check-abi --accept",
        differs(&before, &now, "-"),
        differs(&now, &before, "+"),
    );
}
