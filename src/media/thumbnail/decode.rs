//! Decodes images that nobody vouches for, and makes them smaller. Blocks: runs in the pool.

use std::io::Cursor;

use image::{
    AnimationDecoder, DynamicImage, Frame, ImageDecoder, ImageEncoder, ImageError, ImageFormat,
    ImageReader, ImageResult, Limits, RgbaImage,
    codecs::{
        gif::{GifDecoder, GifEncoder, Repeat},
        jpeg::JpegEncoder,
        png::{PngDecoder, PngEncoder},
        webp::WebPDecoder,
    },
    imageops::{self, FilterType},
    metadata::Orientation,
};

use super::plan::Variant;
use crate::{
    Bytes,
    rows::{Format, Image, ImageRow},
};

/// Larger colour profiles are dropped, in bytes.
const PROFILE_BYTES: usize = 64 << 10;
/// Of 100: small, and nobody sees it at this size.
const JPEG_QUALITY: u8 = 85;
/// Frames of an animation decoded in all, in images of the largest size: about a second of work.
const ANIMATION_PIXELS: u64 = 4;
/// From 1 (best) to 30: the slow ones take minutes for a long animation.
const GIF_SPEED: i32 = 20;

/// How much an image may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pixels: u64,
    memory_bytes: u64,
    frames: usize,
}

impl Bounds {
    pub(crate) fn new(options: &config::Thumbnails) -> Self {
        Self {
            pixels: options.max_pixels,
            memory_bytes: options.max_memory_bytes,
            frames: options.max_frames,
        }
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.max_alloc = Some(self.memory_bytes);
        limits
    }
}

/// A thumbnail.
pub(crate) struct Made {
    pub(crate) format: Format,
    pub(crate) bytes: Bytes,
}

/// What `bytes` are as an image, by their head (and an animation's second frame).
pub(crate) fn probe(bytes: &[u8], bounds: &Bounds) -> ImageRow {
    let format = match image::guess_format(bytes) {
        Ok(ImageFormat::Gif) => Format::Gif,
        Ok(ImageFormat::Jpeg) => Format::Jpeg,
        Ok(ImageFormat::Png) => Format::Png,
        Ok(ImageFormat::WebP) => Format::WebP,
        _ => return ImageRow::Unsupported,
    };
    look(bytes, format, bounds).unwrap_or_else(|error| refuse(&error))
}

fn refuse(error: &ImageError) -> ImageRow {
    match error {
        ImageError::Limits(_) => ImageRow::TooLarge,
        _ => ImageRow::Unsupported,
    }
}

fn look(bytes: &[u8], format: Format, bounds: &Bounds) -> ImageResult<ImageRow> {
    let mut decoder = decoder(bytes, format, bounds)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Ok(ImageRow::Unsupported);
    }
    if u64::from(width) * u64::from(height) > bounds.pixels
        || decoder.total_bytes() > bounds.memory_bytes
    {
        return Ok(ImageRow::TooLarge);
    }
    let (width, height) = match decoder.orientation()? {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    };
    drop(decoder);
    Ok(ImageRow::Image(Image {
        format,
        width,
        height,
        animated: moves(bytes, format, bounds)?,
    }))
}

fn decoder<'a>(
    bytes: &'a [u8],
    format: Format,
    bounds: &Bounds,
) -> ImageResult<impl ImageDecoder + 'a> {
    let format = match format {
        Format::Gif => ImageFormat::Gif,
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(bounds.limits());
    reader.into_decoder()
}

fn moves(bytes: &[u8], format: Format, bounds: &Bounds) -> ImageResult<bool> {
    let cursor = Cursor::new(bytes);
    Ok(match format {
        Format::Jpeg => false,
        Format::Png => PngDecoder::with_limits(cursor, bounds.limits())?.is_apng()?,
        Format::WebP => WebPDecoder::new(cursor)?.has_animation(),
        Format::Gif => {
            let mut decoder = GifDecoder::new(cursor)?;
            decoder.set_limits(bounds.limits())?;
            // A frame that is broken is not shown; the first one decides what the image is.
            decoder.into_frames().take(2).flatten().count() > 1
        }
    })
}

/// Makes `variant` of `image`.
pub(crate) fn make(
    bytes: &[u8],
    image: &Image,
    variant: Variant,
    bounds: &Bounds,
) -> Result<Made, ImageRow> {
    if variant.animated
        && let Some(made) =
            animation(bytes, image, variant, bounds).map_err(|error| refuse(&error))?
    {
        return Ok(made);
    }
    still(bytes, image.format, variant, bounds).map_err(|error| refuse(&error))
}

fn still(bytes: &[u8], format: Format, variant: Variant, bounds: &Bounds) -> ImageResult<Made> {
    let mut decoder = decoder(bytes, format, bounds)?;
    let orientation = decoder.orientation()?;
    let profile = decoder
        .icc_profile()
        .ok()
        .flatten()
        .filter(|profile| is_rgb_profile(profile));
    let image = DynamicImage::from_decoder(decoder)?;
    // Turned when it is small.
    let (width, height) = match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (variant.height, variant.width),
        _ => (variant.width, variant.height),
    };
    let mut small = DynamicImage::ImageRgba8(shrink(image, width, height));
    small.apply_orientation(orientation);
    encode(&small, profile)
}

/// To exactly this size: what the proportions leave over is cut off on both sides.
fn shrink(image: DynamicImage, width: u32, height: u32) -> RgbaImage {
    let (from_width, from_height) = (image.width(), image.height());
    if (from_width, from_height) == (width, height) {
        return image.into_rgba8();
    }
    // The largest rectangle of these proportions, in the middle.
    let (w, h) = (u64::from(width), u64::from(height));
    let (fw, fh) = (u64::from(from_width), u64::from(from_height));
    let (cut_width, cut_height) = if fw * h > fh * w {
        (((fh * w + h / 2) / h).clamp(1, fw), fh)
    } else {
        (fw, ((fw * h + w / 2) / w).clamp(1, fh))
    };
    let side = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let image = if (cut_width, cut_height) == (fw, fh) {
        image
    } else {
        let cut = image.crop_imm(
            side((fw - cut_width) / 2),
            side((fh - cut_height) / 2),
            side(cut_width),
            side(cut_height),
        );
        // Two of them at once are enough.
        drop(image);
        cut
    };
    // A fast average down to twice the size, and the good filter from there.
    let image = if cut_width > 3 * w && cut_height > 3 * h {
        image.thumbnail_exact(width * 2, height * 2)
    } else {
        image
    };
    imageops::resize(&image.into_rgba8(), width, height, FilterType::CatmullRom)
}

fn encode(image: &DynamicImage, profile: Option<Vec<u8>>) -> ImageResult<Made> {
    let rgba = image.to_rgba8();
    let mut bytes = Cursor::new(Vec::new());
    let opaque = rgba.pixels().all(|pixel| pixel.0[3] == u8::MAX);
    let format = if opaque {
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        if let Some(profile) = profile {
            // Without it the colours are a little off.
            let _ = encoder.set_icc_profile(profile);
        }
        image.to_rgb8().write_with_encoder(encoder)?;
        Format::Jpeg
    } else {
        let mut encoder = PngEncoder::new(&mut bytes);
        if let Some(profile) = profile {
            let _ = encoder.set_icc_profile(profile);
        }
        rgba.write_with_encoder(encoder)?;
        Format::Png
    };
    Ok(Made {
        format,
        bytes: bytes.into_inner().into(),
    })
}

/// Bytes 16 to 19 of a profile name its colour space: the image is RGB by now.
fn is_rgb_profile(profile: &[u8]) -> bool {
    profile.len() <= PROFILE_BYTES && profile.get(16..20) == Some(b"RGB ")
}

/// The animation made smaller, as a GIF; `None` if it is too long.
fn animation(
    bytes: &[u8],
    image: &Image,
    variant: Variant,
    bounds: &Bounds,
) -> ImageResult<Option<Made>> {
    let cursor = Cursor::new(bytes);
    let frames = match image.format {
        Format::Jpeg => return Ok(None),
        Format::Gif => {
            let mut decoder = GifDecoder::new(cursor)?;
            decoder.set_limits(bounds.limits())?;
            decoder.into_frames()
        }
        Format::WebP => {
            let mut decoder = WebPDecoder::new(cursor)?;
            decoder.set_limits(bounds.limits())?;
            decoder.into_frames()
        }
        Format::Png => PngDecoder::with_limits(cursor, bounds.limits())?
            .apng()?
            .into_frames(),
    };
    let pixels = u64::from(image.width) * u64::from(image.height);
    let budget = bounds.pixels.saturating_mul(ANIMATION_PIXELS) / pixels.max(1);
    let most = bounds
        .frames
        .min(usize::try_from(budget).unwrap_or(usize::MAX));
    let mut written = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut written, GIF_SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    for (count, frame) in frames.enumerate() {
        if count >= most {
            return Ok(None);
        }
        let frame = frame?;
        let delay = frame.delay();
        let large = DynamicImage::ImageRgba8(frame.into_buffer());
        let small = shrink(large, variant.width, variant.height);
        encoder.encode_frame(Frame::from_parts(small, 0, 0, delay))?;
    }
    drop(encoder);
    Ok(Some(Made {
        format: Format::Gif,
        bytes: written.into(),
    }))
}

#[cfg(test)]
mod tests;
