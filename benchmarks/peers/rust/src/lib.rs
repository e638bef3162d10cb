//! What the filters have in common: a root context that parses its configuration once, and hands it to each exchange.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::rc::Rc;

/// The plugin: `parse` reads its configuration, `create` makes the context of an exchange.
pub struct Root<C> {
    pub parse: fn(&[u8]) -> Option<C>,
    pub create: fn(Rc<C>) -> Box<dyn HttpContext>,
    pub configuration: Option<Rc<C>>,
}

impl<C: 'static> Root<C> {
    pub fn boxed(parse: fn(&[u8]) -> Option<C>, create: fn(Rc<C>) -> Box<dyn HttpContext>) -> Box<dyn RootContext> {
        Box::new(Root { parse, create, configuration: None })
    }
}

impl<C> Context for Root<C> {}

impl<C: 'static> RootContext for Root<C> {
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        self.configuration = (self.parse)(&bytes).map(Rc::new);
        self.configuration.is_some()
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        self.configuration.clone().map(self.create)
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
