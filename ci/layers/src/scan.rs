//! The paths in tokens that are not parsed: the arguments of macros and attributes.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ext::IdentExt as _;

use crate::modules::Written;

/// A path in tokens.
pub(crate) struct Found {
    pub path: Written,
    pub line: usize,
    pub glob: bool,
}

/// Returns the paths with more than one name, including those in groups. Braces after `::` are read as in `use`.
pub(crate) fn paths(tokens: TokenStream) -> Vec<Found> {
    let mut found = Vec::new();
    scan(tokens, &Written { names: Vec::new(), global: false }, &mut found);
    found
}

fn scan(tokens: TokenStream, before: &Written, found: &mut Vec<Found>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |at: usize, sign: char| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
        _ => false,
    };
    let colons = |at: usize| is(at, ':') && is(at + 1, ':');
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let first = match token {
            TokenTree::Group(group) => {
                scan(group.stream(), &Written { names: Vec::new(), global: false }, found);
                at += 1;
                continue;
            }
            TokenTree::Ident(first) => first,
            TokenTree::Punct(punct) if punct.as_char() == '*' && !before.names.is_empty() => {
                found.push(Found { path: before.clone(), line: punct.span().start().line, glob: true });
                at += 1;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        // `$name` is a variable of a macro, except `$crate`. `::` before a name leads out of the crate, or to a type as
        // in `<T>::f`.
        let variable = at > 0 && is(at - 1, '$') && first != "crate";
        let mut path = before.clone();
        path.global |= before.names.is_empty() && at > 1 && colons(at - 2);
        let line = first.span().start().line;
        path.names.push(first.unraw().to_string());
        at += 1;
        let mut glob = false;
        while colons(at) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(name)) => {
                    path.names.push(name.unraw().to_string());
                    at += 3;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    if !variable {
                        scan(group.stream(), &path, found);
                    }
                    // The names before the braces have been counted with each name in the braces.
                    path.names.clear();
                    at += 3;
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                    glob = true;
                    at += 3;
                }
                _ => break,
            }
        }
        if path.names.len() > 1 && path.names.last().is_some_and(|last| last == "self") {
            path.names.pop();
        }
        if !variable && (path.names.len() > 1 || (glob && !path.names.is_empty())) {
            found.push(Found { path, line, glob });
        }
    }
}
