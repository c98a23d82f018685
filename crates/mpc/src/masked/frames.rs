//! How an opening is cut into frames, which follows from the plan.

/// An opening's frame is sent as soon as it holds so many bytes, while what follows is still being computed.
pub const OPENING_FRAME: usize = 512 << 10;

/// The payloads of an opening's frames: its items in order, each whole; a frame ends with the item that brings it to
/// [`OPENING_FRAME`] bytes.
pub fn opening_frames(items: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let (mut frames, mut frame) = (Vec::new(), 0);
    for item in items {
        frame += item;
        if frame >= OPENING_FRAME {
            frames.push(frame);
            frame = 0;
        }
    }
    if frame > 0 || frames.is_empty() {
        frames.push(frame);
    }
    frames
}
