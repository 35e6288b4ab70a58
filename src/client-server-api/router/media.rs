//! Uploads, downloads, thumbnails, previews.

#![expect(
    deprecated,
    reason = "the frozen paths stay for media that was public before"
)]

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::{
    authenticated_media,
    media::{
        create_content, create_content_async, create_mxc_uri, get_content, get_content_as_filename,
        get_content_thumbnail, get_media_config, get_media_preview,
    },
};

use crate::{
    Services,
    modules::content_repo::{self, legacy},
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    unauthenticated(authenticated(router))
        .endpoint::<create_content::v3::Request, _>(legacy::upload_content)
        .endpoint::<create_mxc_uri::v1::Request, _>(legacy::create_content)
        .endpoint::<create_content_async::v3::Request, _>(legacy::upload_content_to_mxc)
        .endpoint::<get_media_config::v3::Request, _>(legacy::get_config)
        .endpoint::<get_media_preview::v3::Request, _>(legacy::get_url_preview)
}

fn authenticated(router: Router<Services>) -> Router<Services> {
    use authenticated_media::{
        get_content, get_content_as_filename, get_content_thumbnail, get_media_config,
        get_media_preview,
    };
    router
        .endpoint::<get_content::v1::Request, _>(content_repo::get_content_authed)
        .endpoint::<get_content_as_filename::v1::Request, _>(
            content_repo::get_content_override_name_authed,
        )
        .endpoint::<get_content_thumbnail::v1::Request, _>(
            content_repo::get_content_thumbnail_authed,
        )
        .endpoint::<get_media_config::v1::Request, _>(content_repo::get_config_authed)
        .endpoint::<get_media_preview::v1::Request, _>(content_repo::get_url_preview_authed)
}

fn unauthenticated(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<get_content::v3::Request, _>(legacy::get_content)
        .endpoint::<get_content_as_filename::v3::Request, _>(legacy::get_content_override_name)
        .endpoint::<get_content_thumbnail::v3::Request, _>(legacy::get_content_thumbnail)
}
