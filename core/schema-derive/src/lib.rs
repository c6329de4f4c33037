//! `#[derive(Collection)]`, `#[derive(Record)]` and `#[derive(Choice)]`: a Rust type as the declaration of
//! a collection, of a record in it, or of an enum.
//!
//! Owns reading the type and writing the code; what the code calls stands in `stead_schema`.
//!
//! ```
//! use stead_schema::{Collection as _, Counter, DateTime};
//! use stead_schema_derive::{Choice, Collection, Record};
//! use std::collections::BTreeSet;
//!
//! #[derive(Debug, PartialEq, Collection)]
//! #[collection(name = "people", index("name", "-born"), search("name"))]
//! struct Person {
//!     #[field(length(1, 100))]
//!     name: String,
//!     born: Option<DateTime>,
//!     #[field(range(0, 250), default = 170)]
//!     height: i64,
//!     #[field(name = "mood")]
//!     state: Mood,
//!     visits: Counter,
//!     tags: BTreeSet<String>,
//!     home: Option<Address>,
//! }
//!
//! #[derive(Debug, PartialEq, Choice)]
//! enum Mood {
//!     Good,
//!     #[choice(name = "not so good")]
//!     Bad,
//! }
//!
//! #[derive(Debug, PartialEq, Record)]
//! struct Address {
//!     city: String,
//!     zip: Option<String>,
//! }
//!
//! let declared = Person::declaration();
//! assert_eq!(declared.to_json()["fields"]["height"]["range"], serde_json::json!([0, 250]));
//! let ada = Person::from_json(&serde_json::json!({"name": "Ada", "height": 165, "mood": "not so good"}))?;
//! assert_eq!((ada.state, ada.visits), (Mood::Bad, Counter(0)));
//! # Ok::<(), stead_schema::Fault>(())
//! ```

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parse;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, LitStr, Result, Token, parenthesized,
};

/// Declares a collection: `#[collection(name = "people", index("name", "-born"), search("name"))]`.
///
/// A field takes `#[field(name = "..", default = .., range(a, b), length(a, b), pattern = "..", unique)]`; `_` in a range
/// or length is no limit.
#[proc_macro_derive(Collection, attributes(collection, field))]
pub fn derive_collection(input: TokenStream) -> TokenStream {
    run(input, collection)
}

/// Declares a record inside a collection. Fields take the same attributes.
#[proc_macro_derive(Record, attributes(field))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    run(input, record)
}

/// Declares an enum of texts: a variant is its name in lower case, or `#[choice(name = "..")]`.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn derive_choice(input: TokenStream) -> TokenStream {
    run(input, choice)
}

fn run(input: TokenStream, make: fn(&DeriveInput) -> Result<Tokens>) -> TokenStream {
    let made = syn::parse::<DeriveInput>(input).and_then(|input| make(&input));
    made.unwrap_or_else(Error::into_compile_error).into()
}

/// One field of a struct.
struct Member {
    ident: syn::Ident,
    kind: syn::Type,
    name: String,
    /// What its attributes do to the declared field.
    rules: Vec<Tokens>,
}

fn members(input: &DeriveInput) -> Result<Vec<Member>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(input, "only a struct has fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(input, "the fields need names"));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a declared type has no parameters",
        ));
    }
    fields
        .named
        .iter()
        .map(|field| {
            let ident = field
                .ident
                .clone()
                .ok_or_else(|| Error::new_spanned(field, "no name"))?;
            let mut member = Member {
                name: ident.to_string().trim_start_matches("r#").to_owned(),
                ident,
                kind: field.ty.clone(),
                rules: Vec::new(),
            };
            for attribute in of(&field.attrs, "field") {
                attribute.parse_nested_meta(|meta| rule(&meta, &mut member))?;
            }
            Ok(member)
        })
        .collect()
}

fn of<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    attributes
        .iter()
        .filter(move |attribute| attribute.path().is_ident(name))
}

fn rule(meta: &ParseNestedMeta<'_>, member: &mut Member) -> Result<()> {
    if meta.path.is_ident("name") {
        member.name = meta.value()?.parse::<LitStr>()?.value();
    } else if meta.path.is_ident("default") {
        let default: Expr = meta.value()?.parse()?;
        member
            .rules
            .push(quote!(.or(::stead_schema::json!(#default))));
    } else if meta.path.is_ident("range") {
        let (min, max) = limits(meta)?;
        member.rules.push(quote!(.within(#min, #max)));
    } else if meta.path.is_ident("length") {
        let (min, max) = limits(meta)?;
        member.rules.push(quote!(.of_length(#min, #max)));
    } else if meta.path.is_ident("pattern") {
        let pattern: LitStr = meta.value()?.parse()?;
        member.rules.push(quote!(.matching(#pattern)));
    } else if meta.path.is_ident("unique") {
        member.rules.push(quote!(.without_repetitions()));
    } else {
        return Err(meta.error(
            "a field takes name = \"..\", default = .., range(a, b), length(a, b), pattern = \"..\" and unique",
        ));
    }
    Ok(())
}

/// `(1, 5)`; `_` is no limit.
fn limits(meta: &ParseNestedMeta<'_>) -> Result<(Tokens, Tokens)> {
    let content;
    parenthesized!(content in meta.input);
    let min = limit(&content)?;
    content.parse::<Token![,]>()?;
    Ok((min, limit(&content)?))
}

fn limit(content: &syn::parse::ParseBuffer<'_>) -> Result<Tokens> {
    if content.peek(Token![_]) {
        content.parse::<Token![_]>()?;
        return Ok(quote!(::core::option::Option::None));
    }
    let limit = Expr::parse(content)?;
    Ok(quote!(::core::option::Option::Some((#limit) as f64)))
}

/// `("a", "b")`.
fn texts(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let content;
    parenthesized!(content in meta.input);
    let texts = content.parse_terminated(|input| input.parse::<LitStr>(), Token![,])?;
    Ok(texts.into_iter().collect())
}

fn record(input: &DeriveInput) -> Result<Tokens> {
    let name = &input.ident;
    let members = members(input)?;
    let (idents, kinds): (Vec<_>, Vec<_>) = members
        .iter()
        .map(|member| (&member.ident, &member.kind))
        .unzip();
    let names: Vec<_> = members.iter().map(|member| &member.name).collect();
    let rules: Vec<_> = members.iter().map(|member| &member.rules).collect();
    Ok(quote! {
        impl ::stead_schema::Declared for #name {
            fn kind() -> ::stead_schema::Kind {
                ::stead_schema::Kind::Record(<Self as ::stead_schema::Record>::fields())
            }

            fn to_value(&self) -> ::core::option::Option<::stead_schema::Value> {
                ::core::option::Option::Some(::stead_schema::Record::to_json(self))
            }

            fn from_value(
                value: ::core::option::Option<&::stead_schema::Value>,
                path: &str,
            ) -> ::core::result::Result<Self, ::stead_schema::Fault> {
                let entries = ::stead_schema::entries_of(value, path)?;
                ::core::result::Result::Ok(Self {
                    #(#idents: ::stead_schema::entry_of::<#kinds>(entries, #names, path)?,)*
                })
            }
        }

        impl ::stead_schema::Record for #name {
            fn fields() -> ::stead_schema::Fields {
                ::stead_schema::Fields::from([
                    #((
                        ::std::string::String::from(#names),
                        ::stead_schema::field_of::<#kinds>() #(#rules)*,
                    ),)*
                ])
            }

            fn to_json(&self) -> ::stead_schema::Value {
                ::stead_schema::object_of([
                    #((#names, ::stead_schema::Declared::to_value(&self.#idents)),)*
                ])
            }
        }
    })
}

fn collection(input: &DeriveInput) -> Result<Tokens> {
    let record = record(input)?;
    let ident = &input.ident;
    let mut name = None;
    let mut indexes: Vec<Vec<LitStr>> = Vec::new();
    let mut search: Vec<LitStr> = Vec::new();
    for attribute in of(&input.attrs, "collection") {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name = Some(meta.value()?.parse::<LitStr>()?);
            } else if meta.path.is_ident("index") {
                indexes.push(texts(&meta)?);
            } else if meta.path.is_ident("search") {
                search = texts(&meta)?;
            } else {
                return Err(
                    meta.error("a collection takes name = \"..\", index(..) and search(..)")
                );
            }
            Ok(())
        })?;
    }
    let name = name.ok_or_else(|| {
        Error::new_spanned(ident, "say which collection: #[collection(name = \"..\")]")
    })?;
    Ok(quote! {
        #record

        impl ::stead_schema::Collection for #ident {
            const COLLECTION: &'static str = #name;

            fn declaration() -> ::stead_schema::Declaration {
                ::stead_schema::declaration_of(
                    <Self as ::stead_schema::Record>::fields(),
                    &[#(&[#(#indexes),*]),*],
                    &[#(#search),*],
                )
            }
        }
    })
}

fn choice(input: &DeriveInput) -> Result<Tokens> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(input, "only an enum is a choice"));
    };
    let ident = &input.ident;
    let (mut variants, mut names) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "a variant of a choice holds nothing",
            ));
        }
        let mut name = variant.ident.to_string().to_lowercase();
        for attribute in of(&variant.attrs, "choice") {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("name") {
                    return Err(meta.error("a variant takes name = \"..\""));
                }
                name = meta.value()?.parse::<LitStr>()?.value();
                Ok(())
            })?;
        }
        variants.push(&variant.ident);
        names.push(name);
    }
    Ok(quote! {
        impl ::stead_schema::Declared for #ident {
            fn kind() -> ::stead_schema::Kind {
                ::stead_schema::Kind::Value(::stead_schema::Scalar::Enum(
                    [#(#names),*].map(::std::string::String::from).to_vec(),
                ))
            }

            fn to_value(&self) -> ::core::option::Option<::stead_schema::Value> {
                let name = match self { #(Self::#variants => #names,)* };
                ::core::option::Option::Some(::stead_schema::Value::from(name))
            }

            fn from_value(
                value: ::core::option::Option<&::stead_schema::Value>,
                path: &str,
            ) -> ::core::result::Result<Self, ::stead_schema::Fault> {
                match value.and_then(::stead_schema::Value::as_str) {
                    #(::core::option::Option::Some(#names) => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(::stead_schema::not_declared::<Self>(value, path)),
                }
            }
        }
    })
}
