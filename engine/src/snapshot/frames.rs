//! The continuation: frames and pending calls.

use super::reader::Reader;
use super::writer::Writer;
use super::{Error, Frame, PendingCall, Position, rules, value};

pub(super) fn encode_frames(frames: &[Frame], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(frames.len())?;
    for frame in frames {
        w.array(4)?;
        w.unsigned(frame.function)?;
        encode_position(frame.at, w)?;
        value::encode_indexed(&frame.locals, w)?;
        value::encode_list(&frame.operands, w)?;
    }
    Ok(())
}

fn encode_position(at: Position, w: &mut Writer<'_>) -> Result<(), Error> {
    let (name, offset) = match at {
        Position::Entry => ("entry", None),
        Position::Loop { offset } => ("loop", Some(offset)),
        Position::Call { offset } => ("call", Some(offset)),
        Position::Import => ("import", None),
    };
    w.array(1 + usize::from(offset.is_some()))?;
    w.text(name)?;
    offset.map_or(Ok(()), |offset| w.unsigned(offset))
}

pub(super) fn decode_frames(r: &mut Reader<'_>) -> Result<Vec<Frame>, Error> {
    // Whether a frame is the innermost is known only when the next one comes.
    let mut outer: Option<Position> = None;
    r.list(
        |limits| &mut limits.frames,
        "frames",
        |r| {
            let at = r.at();
            r.rule(at, rules::outer_frame(outer))?;
            r.tuple(4, "a frame")?;
            let frame = Frame {
                function: r.u32("a function index")?,
                at: decode_position(r)?,
                locals: value::decode_indexed(r, "locals")?,
                operands: value::decode_list(r, "operands")?,
            };
            r.rule(at, rules::frame(&frame))?;
            outer = Some(frame.at);
            Ok(frame)
        },
    )
}

fn decode_position(r: &mut Reader<'_>) -> Result<Position, Error> {
    let at = r.at();
    let (position, parts) = r.choice("a position")?;
    Ok(match (position.as_str(), parts) {
        ("entry", 0) => Position::Entry,
        ("loop", 1) => Position::Loop { offset: r.u32("a byte offset")? },
        ("call", 1) => Position::Call { offset: r.u32("a byte offset")? },
        ("import", 0) => Position::Import,
        _ => return Err(Error::malformed(at, "unknown kind of position")),
    })
}

pub(super) fn encode_pending(calls: &[PendingCall], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(calls.len())?;
    for call in calls {
        w.array(2)?;
        w.unsigned(call.function)?;
        value::encode_list(&call.args, w)?;
    }
    Ok(())
}

pub(super) fn decode_pending(r: &mut Reader<'_>) -> Result<Vec<PendingCall>, Error> {
    r.list(
        |limits| &mut limits.frames,
        "pending calls",
        |r| {
            r.tuple(2, "a pending call")?;
            let function = r.u32("a function index")?;
            let args = value::decode_list(r, "arguments")?;
            Ok(PendingCall { function, args })
        },
    )
}
