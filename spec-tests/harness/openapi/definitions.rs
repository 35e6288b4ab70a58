//! The OpenAPI documents: their operations, and a compiled schema for each answer that was asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

/// Where the operations are described, below `definitions/`; what they refer to stands around it.
const OPERATIONS: &str = "api/client-server";

/// The events that the server itself writes; of all others a client decides the content.
const EVENTS: &str = "event-schemas/schema";

/// Everything below `definitions/`, by path.
type Documents = HashMap<PathBuf, Value>;

pub struct Definitions {
    documents: Documents,
    operations: Vec<Operation>,
    /// Compiled when first asked for, by name.
    schemas: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One method of one path.
pub struct Operation {
    /// The `operationId`.
    pub id: String,
    method: String,
    /// The full path's segments; `{roomId}` stands for any.
    segments: Vec<String>,
    answers: HashMap<u16, Answer>,
}

/// What an operation may answer with one status.
pub struct Answer {
    pub content_types: Vec<String>,
    /// As it stands in the file of the operation; null for what is no JSON.
    schema: (PathBuf, Value),
}

pub enum Found<'a> {
    Operation(&'a Operation),
    /// The path is known, but not with this method.
    OtherMethod,
    Nothing,
}

impl Operation {
    pub fn answer(&self, status: u16) -> Option<&Answer> {
        self.answers.get(&status)
    }

    fn covers(&self, path: &[&str]) -> bool {
        self.segments.len() == path.len()
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(own, given)| own == given || own.starts_with('{'))
    }
}

impl Definitions {
    pub fn load() -> Self {
        let mut documents = Documents::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions");
        read_folder(&root, Path::new(""), &mut documents);
        let mut operations = Vec::new();
        for (file, document) in &documents {
            if file.parent() == Some(Path::new(OPERATIONS)) {
                read_operations(&documents, file, document, &mut operations);
            }
        }
        // The more literal path wins: `/keys/query` before `/keys/{name}`.
        operations.sort_by_key(|operation: &Operation| {
            operation
                .segments
                .iter()
                .filter(|segment| segment.starts_with('{'))
                .count()
        });
        assert!(
            operations.len() > 100,
            "the definitions are not in {}",
            root.display()
        );
        Self {
            documents,
            operations,
            schemas: Mutex::default(),
        }
    }

    /// The operation that a request means. `r0` is the older name of `v3`, and of media's `v1`.
    pub fn find(&self, method: &str, path: &str) -> Found<'_> {
        match self.find_exactly(method, path) {
            Found::Nothing => {
                let newer = path
                    .replace("/_matrix/client/r0/", "/_matrix/client/v3/")
                    .replace("/_matrix/media/r0/", "/_matrix/media/v3/")
                    .replace("/_matrix/media/v1/", "/_matrix/media/v3/");
                self.find_exactly(method, &newer)
            }
            found => found,
        }
    }

    fn find_exactly(&self, method: &str, path: &str) -> Found<'_> {
        let mut segments: Vec<&str> = path.split('/').collect();
        let mut candidates = self.candidates(&segments);
        if candidates.is_empty() {
            // The slash before an empty state key is optional, and clients leave out that of `/pushrules/`, too.
            segments.push("");
            candidates = self.candidates(&segments);
            candidates.retain(|operation| {
                let last = operation.segments.last().map(String::as_str);
                matches!(last, Some("{stateKey}" | ""))
            });
        }
        let wanted = candidates
            .iter()
            .find(|operation| operation.method == method);
        match (wanted, candidates.is_empty()) {
            (Some(operation), _) => Found::Operation(operation),
            (None, false) => Found::OtherMethod,
            (None, true) => Found::Nothing,
        }
    }

    fn candidates(&self, path: &[&str]) -> Vec<&Operation> {
        self.operations
            .iter()
            .filter(|operation| operation.covers(path))
            .collect()
    }

    /// The compiled schema of a JSON answer.
    pub fn schema(&self, operation: &Operation, status: u16) -> Option<Arc<Validator>> {
        let (file, node) = &operation.answer(status)?.schema;
        Some(self.compiled(&format!("{} {status}", operation.id), file, node))
    }

    /// The compiled schema of the content of an event, if it is one of those here.
    pub fn event_content(&self, event_type: &str) -> Option<Arc<Validator>> {
        let file = Path::new(EVENTS).join(format!("{event_type}.yaml"));
        let content = self.documents.get(&file)?.pointer("/properties/content")?;
        Some(self.compiled(event_type, &file, content))
    }

    fn compiled(&self, name: &str, file: &Path, node: &Value) -> Arc<Validator> {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = schemas.get(name) {
            return Arc::clone(schema);
        }
        let schema = bundle(&self.documents, file, node);
        let schema = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .build(&schema)
            .unwrap_or_else(|error| panic!("the definition of {name}: {error}"));
        let schema = Arc::new(schema);
        schemas.insert(name.to_owned(), Arc::clone(&schema));
        schema
    }
}

fn read_folder(root: &Path, folder: &Path, documents: &mut Documents) {
    let entries = std::fs::read_dir(root.join(folder)).expect("the folder of the definitions");
    for entry in entries {
        let entry = entry.expect("an entry of the folder");
        let name = folder.join(entry.file_name());
        if entry.path().is_dir() {
            read_folder(root, &name, documents);
        } else if name
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = std::fs::read_to_string(entry.path()).expect("a definition");
            let document = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", name.display()));
            documents.insert(name, document);
        }
    }
}

fn read_operations(
    documents: &Documents,
    file: &Path,
    document: &Value,
    operations: &mut Vec<Operation>,
) {
    let base = &document["servers"][0]["variables"]["basePath"]["default"];
    let base = base.as_str().unwrap_or_default();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, description) in methods.as_object().into_iter().flatten() {
            let Some(id) = description["operationId"].as_str() else {
                continue;
            };
            let answers = description["responses"].as_object().into_iter().flatten();
            operations.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase(),
                segments: format!("{base}{}", path.trim_end())
                    .split('/')
                    .map(str::to_owned)
                    .collect(),

                answers: answers
                    .map(|(status, answer)| {
                        let status = status.parse().expect("a status is a number");
                        (status, read_answer(documents, file, answer))
                    })
                    .collect(),
            });
        }
    }
}

fn read_answer(documents: &Documents, file: &Path, answer: &Value) -> Answer {
    let (file, answer) = match answer["$ref"].as_str() {
        Some(reference) => resolve(documents, file, reference),
        None => (file.to_owned(), answer),
    };
    let content = answer["content"].as_object();
    Answer {
        content_types: content.into_iter().flat_map(Map::keys).cloned().collect(),
        schema: (
            file,
            answer["content"]["application/json"]["schema"].clone(),
        ),
    }
}

/// What a `$ref` in `file` means: the file it points to, and the place there.
fn resolve<'a>(documents: &'a Documents, file: &Path, reference: &str) -> (PathBuf, &'a Value) {
    let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let mut target = if name.is_empty() {
        file.to_owned()
    } else {
        file.parent().unwrap_or(Path::new("")).to_owned()
    };
    for part in name.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            target.pop();
        } else {
            target.push(part);
        }
    }
    let found = documents
        .get(&target)
        .and_then(|document| document.pointer(pointer))
        .unwrap_or_else(|| panic!("{}: {reference} leads nowhere", file.display()));
    (target, found)
}

/// A schema that stands alone: what it refers to, in whatever file, is among its own `$defs`.
fn bundle(documents: &Documents, file: &Path, schema: &Value) -> Value {
    let mut bundle = Bundle {
        documents,
        names: HashMap::new(),
        definitions: Map::new(),
    };
    let mut schema = bundle.schema(file, schema);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$defs".to_owned(), Value::Object(bundle.definitions));
    }
    schema
}

struct Bundle<'a> {
    documents: &'a Documents,
    /// The places referred to so far and their names, those still being gathered included: a schema may contain itself.
    names: HashMap<(PathBuf, String), String>,
    definitions: Map<String, Value>,
}

impl Bundle<'_> {
    fn schema(&mut self, file: &Path, schema: &Value) -> Value {
        match schema {
            Value::Object(members) => members
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "example" | "examples" | "$schema"))
                .map(|(key, value)| {
                    let value = match (key.as_str(), value) {
                        ("$ref", Value::String(reference)) => self.reference(file, reference),
                        // Names of members, not keywords: one may well be called `example`.
                        ("properties" | "patternProperties", Value::Object(members)) => members
                            .iter()
                            .map(|(name, schema)| (name.clone(), self.schema(file, schema)))
                            .collect(),
                        _ => self.schema(file, value),
                    };
                    (key.clone(), value)
                })
                .collect(),
            Value::Array(members) => members
                .iter()
                .map(|member| self.schema(file, member))
                .collect(),
            plain => plain.clone(),
        }
    }

    fn reference(&mut self, file: &Path, reference: &str) -> Value {
        let (target, schema) = resolve(self.documents, file, reference);
        let pointer = reference.split_once('#').map_or("", |(_, pointer)| pointer);
        let place = (target.clone(), pointer.to_owned());
        let name = if let Some(name) = self.names.get(&place) {
            name.clone()
        } else {
            let name = format!("d{}", self.names.len());
            self.names.insert(place, name.clone());
            let schema = self.schema(&target, schema);
            self.definitions.insert(name.clone(), schema);
            name
        };
        json!(format!("#/$defs/{name}"))
    }
}
