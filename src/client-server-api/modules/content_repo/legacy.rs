//! What the spec keeps under `/_matrix/media`: uploads, and the frozen paths that need no login. Those serve everything while
//! `media.unauthenticated_downloads` is on, and afterwards what was uploaded meanwhile.
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#content-repo-client-behaviour)

#![expect(
    deprecated,
    reason = "the frozen paths stay for media that was public before"
)]

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    extract::{FromRequestParts, Path, Query, Request, State},
    response::Response,
};
use futures_util::StreamExt;
use host::Host;
use http::{HeaderMap, header, request::Parts};
use http_layer::{Class, JsonBytes, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use media::{About, FindError, Media, Stored};
use ruma::{
    MilliSecondsSinceUnixEpoch, ServerName, UInt,
    api::client::{
        authenticated_media,
        media::{
            create_content, create_mxc_uri, get_content, get_content_as_filename,
            get_content_thumbnail, get_media_config, get_media_preview,
        },
    },
};
use serde::Deserialize;

use super::{
    preview,
    serving::{Access, serve, serve_thumbnail},
    thumbnail_size, upload_size,
};
use crate::{Error, Sender, Session};

/// What is read and dropped of a body that is refused, so that the client hears why instead of losing its connection.
const DRAIN_BYTES: usize = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// `POST /_matrix/media/v3/upload`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload)
///
/// # Errors
/// `M_TOO_LARGE`, `M_FORBIDDEN` when the user's quota is used up, `M_INVALID_PARAM` for a file name too long.
pub async fn upload_content(
    State(media): State<Media>,
    State(limits): State<RateLimits>,
    State(host): State<Host>,
    Session(session): Session,
    request: Request,
) -> Result<MatrixResponse<create_content::v3::Response>, Error> {
    limits.check(Class::Upload, &session.user_id)?;
    let mut upload = Upload::read(request).await?;
    let about = upload.about.clone();
    let result = media.upload(session.user, about, &mut upload.body).await;
    let media_id = result.inspect_err(|_| upload.drain(&host))?;
    let uri = media.uri(&media_id).into();
    Ok(MatrixResponse(create_content::v3::Response::new(uri)))
}

/// `POST /_matrix/media/v1/create`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create)
///
/// # Errors
/// `M_LIMIT_EXCEEDED` while too many wait for their content, `M_FORBIDDEN` when the user's quota is used up.
pub async fn create_content(
    State(media): State<Media>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<create_mxc_uri::v1::Request>,
) -> Result<MatrixResponse<create_mxc_uri::v1::Response>, Error> {
    limits.check(Class::Upload, &session.user_id)?;
    let announced = media.create(session.user).await?;
    let uri = media.uri(&announced.media_id).into();
    let mut response = create_mxc_uri::v1::Response::new(uri);
    let expires = UInt::new_saturating(announced.expires_ms);
    response.unused_expires_at = Some(MilliSecondsSinceUnixEpoch(expires));
    Ok(MatrixResponse(response))
}

/// `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid)
///
/// # Errors
/// As [`upload_content`]; `M_NOT_FOUND` for an id that was not created or has expired, `M_FORBIDDEN` for somebody
/// else's, `M_CANNOT_OVERWRITE_MEDIA` for one that has content.
pub async fn upload_content_to_mxc(
    State(media): State<Media>,
    State(limits): State<RateLimits>,
    State(host): State<Host>,
    Session(session): Session,
    Path((server_name, media_id)): Path<(String, String)>,
    request: Request,
) -> Result<JsonBytes, Error> {
    limits.check(Class::Upload, &session.user_id)?;
    let mut upload = Upload::read(request).await?;
    let is_local =
        <&ServerName>::try_from(server_name.as_str()).is_ok_and(|name| media.is_local(name));
    let result = if is_local {
        let about = upload.about.clone();
        let body = &mut upload.body;
        media.upload_to(session.user, &media_id, about, body).await
    } else {
        Err(media::UploadError::NotFound)
    };
    result.inspect_err(|_| upload.drain(&host))?;
    Ok(JsonBytes(b"{}".to_vec()))
}

/// `GET /_matrix/media/v3/config`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3config)
pub async fn get_config(
    State(media): State<Media>,
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_media_config::v3::Request>,
) -> MatrixResponse<get_media_config::v3::Response> {
    MatrixResponse(get_media_config::v3::Response::new(upload_size(&media)))
}

/// `GET /_matrix/media/v3/preview_url`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3preview_url)
///
/// # Errors
/// As [`super::get_url_preview_authed`].
pub async fn get_url_preview(
    State(media): State<Media>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<get_media_preview::v3::Request>,
) -> Result<JsonBytes, Error> {
    preview(&media, &limits, &sender, &request.url).await
}

/// `GET /_matrix/media/v3/download/{serverName}/{mediaId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3downloadservernamemediaid)
///
/// # Errors
/// `M_NOT_FOUND` for what is not open to everybody too.
pub async fn get_content(
    State(media): State<Media>,
    headers: HeaderMap,
    MatrixRequest(request): MatrixRequest<get_content::v3::Request>,
) -> Result<Response, Error> {
    let id = (&*request.server_name, request.media_id.as_str());
    let stored = find_open(&media, id, request.timeout_ms).await?;
    let name = stored.file_name.clone();
    serve(&media, &stored, name, (&headers, Access::Public)).await
}

/// `GET /_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3downloadservernamemediaidfilename)
///
/// # Errors
/// As [`get_content`].
pub async fn get_content_override_name(
    State(media): State<Media>,
    headers: HeaderMap,
    MatrixRequest(request): MatrixRequest<get_content_as_filename::v3::Request>,
) -> Result<Response, Error> {
    let id = (&*request.server_name, request.media_id.as_str());
    let stored = find_open(&media, id, request.timeout_ms).await?;
    let name = Some(request.filename);
    serve(&media, &stored, name, (&headers, Access::Public)).await
}

/// `GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3thumbnailservernamemediaid)
///
/// # Errors
/// As [`get_content`] and [`super::get_content_thumbnail_authed`].
pub async fn get_content_thumbnail(
    State(media): State<Media>,
    headers: HeaderMap,
    MatrixRequest(request): MatrixRequest<get_content_thumbnail::v3::Request>,
) -> Result<Response, Error> {
    let id = (&*request.server_name, request.media_id.as_str());
    let mut asked = authenticated_media::get_content_thumbnail::v1::Request::new(
        request.media_id.clone(),
        request.server_name.clone(),
        request.width,
        request.height,
    );
    asked.method = request.method;
    asked.animated = request.animated;
    let size = thumbnail_size(&asked)?;
    let stored = find_open(&media, id, request.timeout_ms).await?;
    let thumbnail = media.thumbnail(&stored, size).await?;
    Ok(serve_thumbnail(thumbnail, &headers, Access::Public))
}

async fn find_open(
    media: &Media,
    (server_name, media_id): (&ServerName, &str),
    wait: Duration,
) -> Result<Stored, FindError> {
    let stored = media.find(server_name, media_id, wait).await?;
    if stored.open {
        Ok(stored)
    } else {
        Err(FindError::NotFound)
    }
}

/// A file on its way in.
struct Upload {
    about: About,
    body: BodyDataStream,
}

#[derive(Deserialize)]
struct UploadQuery {
    filename: Option<String>,
}

impl Upload {
    async fn read(request: Request) -> Result<Self, Error> {
        let (mut parts, body): (Parts, Body) = request.into_parts();
        let query = Query::<UploadQuery>::from_request_parts(&mut parts, &()).await;
        let Query(query) = query.map_err(|_| StandardError::invalid_param("Bad query."))?;
        let text = |name| {
            let value = parts.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        Ok(Self {
            about: About {
                content_type: text(header::CONTENT_TYPE),
                file_name: query.filename,
                length: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            },
            body: body.into_data_stream(),
        })
    }

    /// Reads on in the background, within limits.
    fn drain(self, host: &Host) {
        let mut body = self.body;
        host.spawn("drain of an upload", async move {
            let reading = async {
                let mut room = DRAIN_BYTES;
                while let Some(Ok(chunk)) = body.next().await
                    && chunk.len() <= room
                {
                    room -= chunk.len();
                }
            };
            // Whoever is slower loses the connection.
            let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
        });
    }
}
