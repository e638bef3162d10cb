use benchmark_filters::Root;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Root::boxed(
        |bytes| String::from_utf8(bytes.to_vec()).ok(),
        |value| Box::new(AddHeader(value)),
    ));
}}

struct AddHeader(Rc<String>);

impl Context for AddHeader {}

impl HttpContext for AddHeader {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_request_header("x-hello", Some(&self.0));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header("x-hello", Some(&self.0));
        Action::Continue
    }
}
