//! How a file goes out: the headers that keep a browser from running it
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content)), caching, parts.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_layer::StandardError;
use media::{Media, Stored, Thumbnail};
use ruma::http_headers::{ContentDisposition, ContentDispositionType};

use super::range::{Part, part};
use crate::Error;

/// What a browser may show by itself: the spec's list.
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The spec's words.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
     style-src 'unsafe-inline'; object-src 'self';",
);

/// Who may keep a copy on the way. A day: content never changes, but it may be taken away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// The client that is logged in.
    Private,
    /// Anybody.
    Public,
}

impl Access {
    const fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Private => "private, max-age=86400, immutable",
            Self::Public => "public, max-age=86400, immutable",
        })
    }
}

/// `stored` under the name `file_name`, or the part of it that is asked for.
pub(super) async fn serve(
    media: &Media,
    stored: &Stored,
    file_name: Option<String>,
    (asked, access): (&HeaderMap, Access),
) -> Result<Response, Error> {
    let etag = format!("\"{}\"", stored.sha256);
    if is_known(asked, &etag) {
        return Ok(not_modified(&etag, access));
    }
    let size = stored.size;
    let (status, range) = match part(asked, size, &etag) {
        Part::Whole => (StatusCode::OK, 0..size),
        Part::Some(range) => (StatusCode::PARTIAL_CONTENT, range),
        Part::Unsatisfiable => return Ok(unsatisfiable(size)),
    };
    let content = media.read(stored, range.clone()).await;
    let body = Body::from_stream(content.map_err(Error::internal)?);
    let content_type = stored.content_type.as_deref();
    let content_type = content_type.unwrap_or("application/octet-stream");
    let kind = if is_inline(content_type) {
        ContentDispositionType::Inline
    } else {
        ContentDispositionType::Attachment
    };
    let disposition = ContentDisposition::new(kind).with_filename(file_name);
    let mut response = with_headers(body, content_type, &disposition, (&etag, access));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        insert(headers, header::CONTENT_RANGE, &text);
    }
    Ok(response)
}

/// A thumbnail: always one of the formats that browsers may show.
pub(super) fn serve_thumbnail(thumbnail: Thumbnail, asked: &HeaderMap, access: Access) -> Response {
    let etag = format!("\"{}\"", thumbnail.tag);
    if is_known(asked, &etag) {
        return not_modified(&etag, access);
    }
    let name = format!(
        "thumbnail.{}",
        thumbnail.content_type.trim_start_matches("image/")
    );
    let disposition =
        ContentDisposition::new(ContentDispositionType::Inline).with_filename(Some(name));
    let body = Body::from_stream(thumbnail.content);
    let mut response = with_headers(body, thumbnail.content_type, &disposition, (&etag, access));
    let length = HeaderValue::from(thumbnail.size);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    response
}

fn with_headers(
    body: Body,
    content_type: &str,
    disposition: &ContentDisposition,
    (etag, access): (&str, Access),
) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    insert(headers, header::CONTENT_TYPE, content_type);
    insert(
        headers,
        header::CONTENT_DISPOSITION,
        &disposition.to_string(),
    );
    insert(headers, header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, access.cache_control());
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    for (name, value) in [
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A value of somebody else's that is no header value is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the client has it already.
fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().trim_start_matches("W/") == etag)
}

fn not_modified(etag: &str, access: Access) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let headers = response.headers_mut();
    insert(headers, header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, access.cache_control());
    response
}

fn unsatisfiable(size: u64) -> Response {
    let error = StandardError::invalid_param("The file has no such bytes.");
    let mut response = error
        .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
        .into_response();
    let range = format!("bytes */{size}");
    insert(response.headers_mut(), header::CONTENT_RANGE, &range);
    response
}

fn is_inline(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    INLINE
        .iter()
        .any(|one| media_type.eq_ignore_ascii_case(one))
}

#[cfg(test)]
mod tests {
    use super::is_inline;

    #[test]
    fn only_the_specs_list_is_shown() {
        for content_type in [
            "image/png",
            "IMAGE/PNG",
            "text/plain; charset=utf-8",
            "video/mp4 ;x",
        ] {
            assert!(is_inline(content_type), "{content_type}");
        }
        for content_type in [
            "image/svg+xml",
            "text/html",
            "application/pdf",
            "application/octet-stream",
            "text/xml; text/plain",
            "image/png,text/html",
            "",
        ] {
            assert!(!is_inline(content_type), "{content_type}");
        }
    }
}
