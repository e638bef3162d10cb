use benchmark_filters::Root;
use hmac::{Hmac, Mac};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use serde_json::Value;
use sha2::Sha256;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SKEW: Duration = Duration::from_secs(30);

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Root::boxed(parse, |settings| Box::new(Jwt(settings))));
}}

struct Settings {
    mac: Hmac<Sha256>,
    issuer: String,
    audiences: Vec<String>,
    claim_headers: Vec<(String, String)>,
}

fn parse(configuration: &[u8]) -> Option<Settings> {
    let given: Value = serde_json::from_slice(configuration).ok()?;
    let key = decode(given["keys"][0]["k"].as_str()?)?;
    let audiences = given["audiences"].as_array()?;
    let claims = given["claim_headers"].as_object()?;
    Some(Settings {
        mac: Hmac::new_from_slice(&key).ok()?,
        issuer: given["issuer"].as_str()?.to_string(),
        audiences: audiences.iter().map(|name| name.as_str().map(str::to_string)).collect::<Option<_>>()?,
        claim_headers: claims
            .iter()
            .map(|(name, claim)| Some((name.clone(), claim.as_str()?.to_string())))
            .collect::<Option<_>>()?,
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    base64::decode_config(text, base64::URL_SAFE_NO_PAD).ok()
}

fn verify(authorization: &str, settings: &Settings, now: SystemTime) -> Option<Value> {
    let (scheme, token) = authorization.split_once(' ')?;
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let head: Value = serde_json::from_slice(&decode(head)?).ok()?;
    if head["alg"] != "HS256" {
        return None;
    }
    let mut mac = settings.mac.clone();
    mac.update(signed.as_bytes());
    mac.verify_slice(&decode(signature)?).ok()?;
    let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
    let seconds = |value: f64| UNIX_EPOCH + Duration::from_secs_f64(value.clamp(0.0, 1e12));
    if now >= seconds(claims["exp"].as_f64()?) + SKEW {
        return None;
    }
    if claims["nbf"].as_f64().map_or(false, |begin| now + SKEW < seconds(begin)) {
        return None;
    }
    let accepted = |name: &Value| settings.audiences.iter().any(|audience| name == audience.as_str());
    let for_us = match &claims["aud"] {
        Value::Array(names) => names.iter().any(accepted),
        name => accepted(name),
    };
    if claims["iss"] == settings.issuer.as_str() && for_us { Some(claims) } else { None }
}

struct Jwt(Rc<Settings>);

impl Context for Jwt {}

impl HttpContext for Jwt {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let given = self.get_http_request_header("authorization").unwrap_or_default();
        let claims = match verify(&given, &self.0, self.get_current_time()) {
            Some(claims) => claims,
            None => {
                self.send_http_response(401, vec![("www-authenticate", "Bearer")], Some(b"the token is refused\n"));
                return Action::Pause;
            }
        };
        for (name, claim) in &self.0.claim_headers {
            let told = match &claims[claim] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            self.set_http_request_header(name, told.as_deref());
        }
        self.set_http_request_header("authorization", None);
        Action::Continue
    }
}
