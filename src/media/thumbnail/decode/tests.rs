use std::io::Cursor;

use image::{
    AnimationDecoder, Delay, DynamicImage, Frame, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{
        gif::{GifDecoder, GifEncoder},
        jpeg::JpegEncoder,
        webp::WebPEncoder,
    },
};

use super::{Bounds, Made, make, probe};
use crate::{
    rows::{Format, Image, ImageRow},
    thumbnail::plan::Variant,
};

fn bounds() -> Bounds {
    Bounds::new(&config::Thumbnails::default())
}

fn image_of(bytes: &[u8]) -> Image {
    let ImageRow::Image(image) = probe(bytes, &bounds()) else {
        panic!("it is an image");
    };
    image
}

fn made(bytes: &[u8], variant: (u32, u32), animated: bool, bounds: &Bounds) -> Made {
    let variant = Variant {
        width: variant.0,
        height: variant.1,
        crop: false,
        animated,
    };
    make(bytes, &image_of(bytes), variant, bounds).unwrap_or_else(|row| panic!("{row:?}"))
}

fn gif(width: u32, height: u32, frames: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    for n in 0..frames {
        let image = RgbaImage::from_pixel(width, height, Rgba([n * 20, 100, 0, 255]));
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder
            .encode_frame(Frame::from_parts(image, 0, 0, delay))
            .unwrap();
    }
    drop(encoder);
    bytes
}

/// Left half red, right half blue; with an EXIF orientation if it is not 0.
fn jpeg(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, _| {
        if x < width / 2 {
            Rgb([255, 0, 0])
        } else {
            Rgb([0, 0, 255])
        }
    });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    if orientation > 0 {
        let exif = [
            &b"II\x2a\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00"[..],
            &[orientation, 0, 0, 0, 0, 0, 0, 0],
        ];
        encoder.set_exif_metadata(exif.concat()).unwrap();
    }
    image.write_with_encoder(encoder).unwrap();
    bytes
}

#[test]
fn exif_turns_the_image() {
    let plain = jpeg(200, 100, 0);
    let turned = jpeg(200, 100, 6);
    assert_eq!(
        (image_of(&plain).width, image_of(&plain).height),
        (200, 100)
    );
    assert_eq!(
        (image_of(&turned).width, image_of(&turned).height),
        (100, 200)
    );
    let small = made(&turned, (48, 96), false, &bounds());
    assert_eq!(small.format, Format::Jpeg);
    let small = image::load_from_memory(&small.bytes).unwrap().into_rgb8();
    assert_eq!(small.dimensions(), (48, 96));
    // Turned clockwise, the left half is the upper one.
    assert!(small.get_pixel(24, 10).0[0] > 200);
    assert!(small.get_pixel(24, 85).0[2] > 200);
}

#[test]
fn a_crop_is_the_middle() {
    let small = made(&jpeg(300, 100, 0), (96, 96), false, &bounds());
    let small = image::load_from_memory(&small.bytes).unwrap().into_rgb8();
    assert_eq!(small.dimensions(), (96, 96));
    assert!(small.get_pixel(10, 48).0[0] > 200);
    assert!(small.get_pixel(85, 48).0[2] > 200);
}

#[test]
fn every_format_is_understood() {
    let mut webp = Vec::new();
    let image = DynamicImage::new_rgb8(100, 50);
    image
        .write_with_encoder(WebPEncoder::new_lossless(&mut webp))
        .unwrap();
    let mut png = Cursor::new(Vec::new());
    DynamicImage::new_rgba16(100, 50)
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    for (bytes, format) in [
        (webp, Format::WebP),
        (png.into_inner(), Format::Png),
        (gif(100, 50, 1), Format::Gif),
        (jpeg(100, 50, 0), Format::Jpeg),
    ] {
        let expected = Image {
            format,
            width: 100,
            height: 50,
            animated: false,
        };
        assert_eq!(image_of(&bytes), expected);
        let small = made(&bytes, (32, 16), false, &bounds());
        let small = image::load_from_memory(&small.bytes).unwrap();
        assert_eq!((small.width(), small.height()), (32, 16));
    }
}

#[test]
fn an_animation_keeps_moving_if_asked() {
    let bytes = gif(100, 50, 5);
    assert!(image_of(&bytes).animated);
    let moving = made(&bytes, (32, 16), true, &bounds());
    assert_eq!(moving.format, Format::Gif);
    let frames = GifDecoder::new(Cursor::new(&moving.bytes))
        .unwrap()
        .into_frames();
    let frames: Vec<Frame> = frames.map(Result::unwrap).collect();
    assert_eq!(frames.len(), 5);
    assert_eq!(frames[0].buffer().dimensions(), (32, 16));
    assert_eq!(frames[0].delay().numer_denom_ms(), (100, 1));
    let still = made(&bytes, (32, 16), false, &bounds());
    assert_eq!(still.format, Format::Jpeg);
}

#[test]
fn a_long_animation_is_shown_by_its_first_frame() {
    let mut few = bounds();
    few.frames = 4;
    assert_eq!(
        made(&gif(100, 50, 5), (32, 16), true, &few).format,
        Format::Jpeg
    );
    assert_eq!(
        made(&gif(100, 50, 4), (32, 16), true, &few).format,
        Format::Gif
    );
    // Many pixels in all, though few in each.
    let mut small = bounds();
    small.pixels = 100 * 50;
    assert_eq!(
        made(&gif(100, 50, 5), (32, 16), true, &small).format,
        Format::Jpeg
    );
}

#[test]
fn memory_is_limited() {
    let mut png = Cursor::new(Vec::new());
    DynamicImage::new_rgba16(1_000, 1_000)
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    let png = png.into_inner();
    let mut little = bounds();
    little.memory_bytes = 8_000_000 - 1;
    assert_eq!(probe(&png, &little), ImageRow::TooLarge);
    little.pixels = 1_000_000 - 1;
    little.memory_bytes = u64::MAX;
    assert_eq!(probe(&png, &little), ImageRow::TooLarge);
    little.pixels += 1;
    assert!(matches!(probe(&png, &little), ImageRow::Image(_)));
}
