//! Which thumbnail answers a request: few sizes, so that few are made and kept.

use crate::rows::Image;

/// Sides of thumbnails: the spec's five sizes, and steps between and above that screens ask for.
const SIDES: [u32; 16] = [
    32, 48, 64, 96, 128, 180, 240, 320, 360, 480, 600, 640, 800, 960, 1280, 1600,
];

/// How an image is brought to the size asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// All of it, in its own proportions.
    Scale,
    /// Its middle, in the proportions asked for.
    Crop,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ThumbnailSize {
    /// Pixels, more than 0.
    pub width: u32,
    /// Pixels, more than 0.
    pub height: u32,
    /// How.
    pub method: Method,
    /// Whether it should move, if the image does.
    pub animated: bool,
}

/// How it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// With the image itself: it is small already, or more is asked for than is made.
    Original,
    /// With this.
    Make(Variant),
}

/// One of the thumbnails of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Pixels, exactly.
    pub(crate) width: u32,
    /// Pixels, exactly.
    pub(crate) height: u32,
    pub(crate) crop: bool,
    pub(crate) animated: bool,
}

impl Variant {
    /// Unique among the thumbnails of its image; a file name.
    pub(crate) fn name(self) -> String {
        format!(
            "{}x{}-{}{}",
            self.width,
            self.height,
            if self.crop { "crop" } else { "scale" },
            if self.animated { "-animated" } else { "" },
        )
    }
}

impl Plan {
    pub(crate) fn new(image: &Image, size: ThumbnailSize) -> Self {
        let animated = image.animated && size.animated;
        let target = match size.method {
            Method::Scale => scaled(image, size),
            Method::Crop => cropped(image, size),
        };
        let (width, height) = target.unwrap_or((image.width, image.height));
        if (width, height) == (image.width, image.height) {
            // `animated=false` MUST NOT be answered with something that moves.
            if image.animated && !animated {
                return Self::Make(Variant {
                    width,
                    height,
                    crop: false,
                    animated,
                });
            }
            return Self::Original;
        }
        Self::Make(Variant {
            width,
            height,
            crop: size.method == Method::Crop,
            animated,
        })
    }
}

/// The smallest step that is no smaller.
fn step(side: u32) -> Option<u32> {
    SIDES.into_iter().find(|step| *step >= side)
}

/// The image's proportions, within the box asked for, the longer side rounded up to a step. `None`: its own size.
fn scaled(image: &Image, size: ThumbnailSize) -> Option<(u32, u32)> {
    let (width, height) = (u64::from(image.width), u64::from(image.height));
    let (box_width, box_height) = (u64::from(size.width), u64::from(size.height));
    // The side that meets the box first decides: width / box_width against height / box_height.
    let by_width = width * box_height >= height * box_width;
    let (edge, box_edge) = if by_width {
        (width, box_width)
    } else {
        (height, box_height)
    };
    if edge <= box_edge {
        return None;
    }
    let longer = width.max(height);
    let wanted = (longer * box_edge).div_ceil(edge);
    let longer_step = u64::from(step(u32::try_from(wanted).ok()?)?);
    if longer_step >= longer {
        return None;
    }
    let shrink = |side: u64| ((side * longer_step + longer / 2) / longer).max(1);
    Some((
        u32::try_from(shrink(width)).ok()?,
        u32::try_from(shrink(height)).ok()?,
    ))
}

/// The box asked for, both sides rounded up to steps, but never beyond the image. `None`: its own size.
fn cropped(image: &Image, size: ThumbnailSize) -> Option<(u32, u32)> {
    let (width, height) = (step(size.width)?, step(size.height)?);
    Some((width.min(image.width), height.min(image.height)))
}

#[cfg(test)]
mod tests {
    use super::{Method, Plan, ThumbnailSize};
    use crate::rows::{Format, Image};

    fn plan(image: (u32, u32), asked: (u32, u32), method: Method) -> Option<(u32, u32)> {
        let image = Image {
            format: Format::Png,
            width: image.0,
            height: image.1,
            animated: false,
        };
        let size = ThumbnailSize {
            width: asked.0,
            height: asked.1,
            method,
            animated: true,
        };
        match Plan::new(&image, size) {
            Plan::Original => None,
            Plan::Make(variant) => Some((variant.width, variant.height)),
        }
    }

    #[test]
    fn scale_keeps_the_proportions() {
        for (image, asked, expected) in [
            ((1600, 1200), (320, 240), Some((320, 240))),
            ((1600, 1200), (640, 480), Some((640, 480))),
            ((1600, 1200), (800, 600), Some((800, 600))),
            ((1600, 900), (320, 240), Some((320, 180))),
            ((900, 1600), (640, 480), Some((270, 480))),
            ((1600, 1200), (33, 33), Some((48, 36))),
            ((1600, 1200), (33, 5000), Some((48, 36))),
            ((10_000, 10), (800, 600), Some((800, 1))),
            // Never larger than the image, never smaller than asked for.
            ((300, 200), (320, 240), None),
            ((320, 240), (320, 240), None),
            ((1500, 1500), (1400, 1400), None),
            ((4000, 4000), (2000, 2000), None),
            ((4000, 4000), (u32::MAX, u32::MAX), None),
            ((1, 1), (1, 1), None),
        ] {
            assert_eq!(
                plan(image, asked, Method::Scale),
                expected,
                "{image:?} {asked:?}"
            );
        }
    }

    #[test]
    fn crop_keeps_the_box() {
        for (image, asked, expected) in [
            ((1600, 1200), (32, 32), Some((32, 32))),
            ((1600, 1200), (96, 96), Some((96, 96))),
            ((1600, 1200), (100, 50), Some((128, 64))),
            ((200, 1000), (320, 240), Some((200, 240))),
            ((1000, 200), (320, 240), Some((320, 200))),
            ((30, 30), (32, 32), None),
            ((1600, 1200), (1601, 10), None),
        ] {
            assert_eq!(
                plan(image, asked, Method::Crop),
                expected,
                "{image:?} {asked:?}"
            );
        }
    }

    #[test]
    fn what_moves_is_shown_still_unless_asked_for() {
        let image = Image {
            format: Format::Gif,
            width: 20,
            height: 10,
            animated: true,
        };
        let mut size = ThumbnailSize {
            width: 96,
            height: 96,
            method: Method::Scale,
            animated: false,
        };
        let Plan::Make(variant) = Plan::new(&image, size) else {
            panic!("a still picture has to be made");
        };
        assert_eq!(variant.name(), "20x10-scale");
        size.animated = true;
        assert_eq!(Plan::new(&image, size), Plan::Original);
        size.width = 10;
        size.height = 10;
        assert_eq!(Plan::new(&image, size), Plan::Original);
        let large = Image {
            width: 200,
            height: 100,
            ..image
        };
        let Plan::Make(variant) = Plan::new(&large, size) else {
            panic!("it is larger than asked for");
        };
        assert_eq!(variant.name(), "32x16-scale-animated");
    }

    #[test]
    fn an_image_has_few_scaled_variants() {
        let mut sizes: Vec<_> = (1..2_000)
            .filter_map(|side| plan((4_000, 3_000), (side, side * 7 % 1_999 + 1), Method::Scale))
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert!(sizes.len() <= 16, "{}", sizes.len());
    }
}
