use benchmark_filters::Root;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use regex::RegexSet;
use serde_json::Value;
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Root::boxed(parse, |rules| Box::new(Routing(rules))));
}}

struct Rules {
    patterns: RegexSet,
    routes: Vec<String>,
    default: String,
}

fn parse(configuration: &[u8]) -> Option<Rules> {
    let given: Value = serde_json::from_slice(configuration).ok()?;
    let rules = given["rules"].as_array()?;
    let patterns = rules.iter().map(|rule| Some(format!("^(?:{})$", rule["pattern"].as_str()?)));
    Some(Rules {
        patterns: RegexSet::new(patterns.collect::<Option<Vec<_>>>()?).ok()?,
        routes: rules.iter().map(|rule| Some(rule["route"].as_str()?.to_string())).collect::<Option<_>>()?,
        default: given["default"].as_str()?.to_string(),
    })
}

struct Routing(Rc<Rules>);

impl Context for Routing {}

impl HttpContext for Routing {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let first = self.0.patterns.matches(&path).iter().next();
        let route = first.map_or(&self.0.default, |index| &self.0.routes[index]);
        self.set_http_request_header("x-route", Some(route));
        Action::Continue
    }
}
