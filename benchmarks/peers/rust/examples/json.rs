use benchmark_filters::Root;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use serde_json::Value;
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Root::boxed(parse, |removed| Box::new(Rewrite { removed, active: false })));
}}

fn parse(configuration: &[u8]) -> Option<Vec<String>> {
    let settings: Value = serde_json::from_slice(configuration).ok()?;
    let names = settings["remove_from_response"].as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_string)).collect()
}

struct Rewrite {
    removed: Rc<Vec<String>>,
    active: bool,
}

fn remove(value: &mut Value, names: &[String]) {
    match value {
        Value::Object(members) => {
            for name in names {
                members.remove(name);
            }
            members.values_mut().for_each(|member| remove(member, names));
        }
        Value::Array(members) => members.iter_mut().for_each(|member| remove(member, names)),
        _ => {}
    }
}

impl Context for Rewrite {}

impl HttpContext for Rewrite {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.active = self.get_http_response_header("content-type").as_deref() == Some("application/json");
        if self.active {
            self.set_http_response_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !self.active {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        if let Ok(mut document) = serde_json::from_slice(&body) {
            remove(&mut document, &self.removed);
            let written = serde_json::to_vec(&document).unwrap_or_default();
            self.set_http_response_body(0, size, &written);
        }
        Action::Continue
    }
}
