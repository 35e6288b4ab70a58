//! [Content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository): downloads, for those who
//! are logged in. Uploads are in [`legacy`], where the spec still keeps them. Bodies are streamed, not ruma's types.

use axum::{extract::State, response::Response};
use http::HeaderMap;
use http_layer::{Class, JsonBytes, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use media::{Media, Method, ThumbnailSize};
use ruma::{
    UInt,
    api::client::authenticated_media::{
        get_content, get_content_as_filename, get_content_thumbnail, get_media_config,
        get_media_preview,
    },
};

use crate::{Error, Sender};

pub mod legacy;

mod range;
mod serving;

use serving::{Access, serve, serve_thumbnail};

/// `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid)
///
/// # Errors
/// `M_NOT_FOUND` for unknown media and for other servers', `M_NOT_YET_UPLOADED` after `timeout_ms`.
pub async fn get_content_authed(
    State(media): State<Media>,
    Sender(_): Sender,
    headers: HeaderMap,
    MatrixRequest(request): MatrixRequest<get_content::v1::Request>,
) -> Result<Response, Error> {
    let found = media.find(&request.server_name, &request.media_id, request.timeout_ms);
    let stored = found.await?;
    let name = stored.file_name.clone();
    serve(&media, &stored, name, (&headers, Access::Private)).await
}

/// `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaidfilename)
///
/// # Errors
/// As [`get_content_authed`].
pub async fn get_content_override_name_authed(
    State(media): State<Media>,
    Sender(_): Sender,
    headers: HeaderMap,
    MatrixRequest(request): MatrixRequest<get_content_as_filename::v1::Request>,
) -> Result<Response, Error> {
    let found = media.find(&request.server_name, &request.media_id, request.timeout_ms);
    let name = Some(request.filename);
    serve(&media, &found.await?, name, (&headers, Access::Private)).await
}

/// `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid)
///
/// # Errors
/// As [`get_content_authed`]; `M_UNKNOWN` (400) for what is no image, `M_TOO_LARGE` for an image too large.
pub async fn get_content_thumbnail_authed(
    State(media): State<Media>,
    Sender(_): Sender,
    headers: HeaderMap,
    MatrixRequest(request): MatrixRequest<get_content_thumbnail::v1::Request>,
) -> Result<Response, Error> {
    let size = thumbnail_size(&request)?;
    let found = media.find(&request.server_name, &request.media_id, request.timeout_ms);
    let thumbnail = media.thumbnail(&found.await?, size).await?;
    Ok(serve_thumbnail(thumbnail, &headers, Access::Private))
}

/// `GET /_matrix/client/v1/media/preview_url`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url)
///
/// # Errors
/// `M_UNRECOGNIZED` where previews are off, `M_INVALID_PARAM` for no URL, `M_UNKNOWN` (502) for a page that cannot be had.
pub async fn get_url_preview_authed(
    State(media): State<Media>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<get_media_preview::v1::Request>,
) -> Result<JsonBytes, Error> {
    preview(&media, &limits, &sender, &request.url).await
}

/// `GET /_matrix/client/v1/media/config`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig)
pub async fn get_config_authed(
    State(media): State<Media>,
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_media_config::v1::Request>,
) -> MatrixResponse<get_media_config::v1::Response> {
    MatrixResponse(get_media_config::v1::Response::new(upload_size(&media)))
}

fn upload_size(media: &Media) -> UInt {
    UInt::new_saturating(media.max_upload_bytes())
}

async fn preview(
    media: &Media,
    limits: &RateLimits,
    sender: &ruma::UserId,
    url: &str,
) -> Result<JsonBytes, Error> {
    limits.check(Class::Preview, sender)?;
    // The `ts` of the request is a wish that nobody has to grant.
    let preview = media.preview(url).await?;
    Ok(JsonBytes(
        serde_json::to_vec(&preview).map_err(Error::internal)?,
    ))
}

fn thumbnail_size(
    request: &get_content_thumbnail::v1::Request,
) -> Result<ThumbnailSize, StandardError> {
    let pixels = |side: UInt| match u32::try_from(u64::from(side)).unwrap_or(u32::MAX) {
        0 => Err(StandardError::invalid_param(
            "`width` and `height` must be more than 0.",
        )),
        side => Ok(side),
    };
    Ok(ThumbnailSize {
        width: pixels(request.width)?,
        height: pixels(request.height)?,
        method: match request.method.as_ref() {
            None | Some(ruma::media::Method::Scale) => Method::Scale,
            Some(ruma::media::Method::Crop) => Method::Crop,
            Some(_) => {
                return Err(StandardError::invalid_param(
                    "`method` must be crop or scale.",
                ));
            }
        },
        animated: request.animated == Some(true),
    })
}
