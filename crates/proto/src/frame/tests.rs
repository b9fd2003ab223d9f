use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_FRAME, MAX_JSON_FRAME};
use crate::snapshot::BlobDigest;

fn uuid() -> impl Strategy<Value = uuid::Uuid> {
    any::<[u8; 16]>().prop_map(uuid::Uuid::from_bytes)
}

fn trn() -> impl Strategy<Value = TrnId> {
    uuid().prop_map(TrnId)
}

fn chain() -> impl Strategy<Value = ChainDigest> {
    any::<[u8; 32]>().prop_map(ChainDigest)
}

fn chunk_id() -> impl Strategy<Value = ChunkId> {
    prop_oneof![
        proptest::collection::vec(prop_oneof![b'a'..=b'z', b'0'..=b'9', Just(b'-')], 1..=64)
            .prop_map(|bytes| String::from_utf8(bytes).unwrap().parse().unwrap()),
        any::<[u8; 32]>().prop_map(|digest| ChunkId::from_digest(&digest)),
    ]
}

fn generation() -> impl Strategy<Value = Option<Generation>> {
    proptest::option::of((uuid(), any::<u64>()).prop_map(|(id, number)| Generation { id, number }))
}

fn state() -> impl Strategy<Value = LogState> {
    (generation(), trn(), any::<u64>(), chain()).prop_map(|(generation, head, seq, chain)| LogState {
        generation,
        head,
        seq: Seq(seq),
        chain,
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (state(), trn(), any::<u64>(), chain()).prop_map(|(state, from, seq, from_chain)| Frame::Start(Start {
            state,
            from,
            from_seq: Seq(seq),
            from_chain
        })),
        (generation(), proptest::collection::vec(trn(), 0..=64))
            .prop_map(|(generation, expect)| Frame::Push(Push { generation, expect })),
        (trn(), prop_oneof![0..300u64, any::<u64>()], trn(), proptest::collection::vec(chunk_id(), 0..20)).prop_map(
            |(id, seq, parent, chunks)| Frame::Transaction(Transaction { id, seq: Seq(seq), parent, chunks })
        ),
        (chunk_id(), proptest::collection::vec(any::<u8>(), 0..400))
            .prop_map(|(id, bytes)| Frame::Chunk(Chunk { id, bytes: bytes.into() })),
        (trn(), any::<u64>(), chain(), any::<[u8; 32]>(), any::<u64>()).prop_map(|(id, seq, chain, digest, bytes)| {
            Frame::Snapshot(Snapshot { id, seq: Seq(seq), chain, digest: BlobDigest(digest), bytes })
        }),
        proptest::collection::vec(any::<u8>(), 0..400).prop_map(|bytes| Frame::Piece(Piece { bytes: bytes.into() })),
        (any::<u64>(), chain()).prop_map(|(count, chain)| Frame::End(End { count, chain })),
    ]
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::MessagePack), Just(Form::Json)]
}

fn end() -> Frame {
    Frame::End(End { count: 1, chain: ChainDigest::ZERO })
}

/// Feeds the pieces and collects the frames, until the end or an error.
fn decode<'a>(form: Form, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = FrameDecoder::new(form);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    decoder.finish()?;
    Ok(frames)
}

proptest! {
    #[test]
    fn frames_round_trip_however_the_bytes_are_cut(
        form in form(),
        mut frames in proptest::collection::vec(frame(), 0..8),
        cuts in proptest::collection::vec(1usize..200, 0..40),
    ) {
        frames.retain(|frame| !matches!(frame, Frame::End(_)));
        frames.push(end());
        let mut encoder = FrameEncoder::new(form);
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| encoder.encode(frame, &mut bytes));
        let mut pieces = Vec::new();
        let mut rest = bytes.as_slice();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(decode(form, pieces).unwrap(), frames);
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_frames_before_and_says_so(form in form(), cut in 0usize..100) {
        let mut encoder = FrameEncoder::new(form);
        let mut bytes = Vec::new();
        let chunk = Frame::Chunk(Chunk { id: ChunkId::of(b"x"), bytes: Bytes::from_static(b"x") });
        encoder.encode(&chunk, &mut bytes);
        let first = bytes.len();
        encoder.encode(&end(), &mut bytes);
        let cut = (bytes.len() * cut / 100).min(bytes.len() - 2);
        let mut decoder = FrameDecoder::new(form);
        decoder.feed(&bytes[..cut]);
        let mut count = 0;
        while decoder.next_frame().unwrap().is_some() {
            count += 1;
        }
        prop_assert_eq!(count >= 1, cut >= first);
        prop_assert_eq!(decoder.finish().is_err(), !(form == Form::MessagePack && (cut == 0 || cut == first)));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_and_never_panic(
        form in form(),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = decode(form, [bytes.as_slice()]);
        // The same behind a right length, so that the reader within sees them.
        let mut framed = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(&bytes);
        let _ = decode(Form::MessagePack, [framed.as_slice()]);
    }

    #[test]
    fn a_changed_byte_never_panics(frame in frame(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = Vec::new();
        encode_frame(&frame, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = decode(Form::MessagePack, [bytes.as_slice()]);
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

#[test]
fn golden_bytes() {
    let mut bytes = Vec::new();
    let chunk = Frame::Chunk(Chunk { id: "ab".parse().unwrap(), bytes: Bytes::from_static(&[1, 2, 3]) });
    encode_frame(&chunk, &mut bytes);
    assert_eq!(bytes, b"\0\0\0\x19\x81\xa5chunk\x82\xa2id\xa2ab\xa5bytes\xc4\x03\x01\x02\x03");

    let mut bytes = Vec::new();
    let id = TrnId::from_bytes(*b"0123456789abcdef");
    let trn = Transaction { id, seq: Seq(300), parent: TrnId::ROOT, chunks: vec!["c".parse().unwrap()] };
    encode_frame(&Frame::Transaction(trn.clone()), &mut bytes);
    let expected: &[u8] =
        b"\0\0\0\x4d\x81\xabtransaction\x84\xa2id\xc4\x100123456789abcdef\xa3seq\xcd\x01\x2c\xa6parent\
        \xc4\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xa6chunks\x91\xa1c";
    assert_eq!(bytes, expected);

    let json = serde_json::to_string(&Frame::Transaction(trn)).unwrap();
    assert_eq!(
        json,
        r#"{"transaction":{"id":"30313233-3435-3637-3839-616263646566","seq":300,"parent":"00000000-0000-0000-0000-000000000000","chunks":["c"]}}"#
    );
    assert_eq!(serde_json::to_string(&chunk).unwrap(), r#"{"chunk":{"id":"ab","bytes":"AQID"}}"#);
}

#[test]
fn unknown_fields_are_skipped_and_unknown_frames_refused() {
    let more = framed(b"\x81\xa3end\x83\xa4more\x93\x01\xa1x\x81\xa1k\xc0\xa5count\x01\xa5chain\xc4\x2000000000000000000000000000000000");
    let frames = decode(Form::MessagePack, [more.as_slice()]).unwrap();
    assert_eq!(frames, [Frame::End(End { count: 1, chain: ChainDigest([b'0'; 32]) })]);
    let error = decode(Form::MessagePack, [framed(b"\x81\xa4news\x80").as_slice()]).unwrap_err();
    assert_eq!(error.to_string(), r#"frame 0: the kind "news" is not known"#);
    let json = format!(r#"[{{"end":{{"count":1,"more":{{"}}":[]}},"chain":"{}"}}}}]"#, ChainDigest::ZERO);
    assert_eq!(decode(Form::Json, [json.as_bytes()]).unwrap(), [end()]);
    assert!(decode(Form::Json, [br#"[{"news":{}}]"#.as_slice()]).is_err());
}

#[test]
fn what_is_over_a_limit_is_refused_before_it_is_held() {
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    decoder.feed(&u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes());
    assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { index: 0, max: MAX_FRAME }));
    decoder.feed(&[0; 1000]);
    assert_eq!(decoder.buffered(), 0);
    assert!(decoder.next_frame().is_err() && decoder.finish().is_err());

    let mut decoder = FrameDecoder::new(Form::Json);
    decoder.feed(b"[{\"chunk\":{\"id\":\"a\",\"bytes\":\"");
    let piece = vec![b'A'; 1 << 20];
    let error = loop {
        decoder.feed(&piece);
        if let Err(error) = decoder.next_frame() {
            break error;
        }
        assert!(decoder.buffered() <= MAX_JSON_FRAME + piece.len());
    };
    assert_eq!(error, FrameError::TooLong { index: 0, max: MAX_JSON_FRAME });

    // An array that says four thousand million ids, with none behind it.
    let error = decode(Form::MessagePack, [framed(b"\x81\xa4push\x81\xa6expect\xdd\xff\xff\xff\xff").as_slice()]);
    assert_eq!(error.unwrap_err().to_string(), "frame 0: expect: 4294967295 ids; at most 64 are allowed");

    // Values nested deeper than any reader should follow.
    let mut deep = b"\x81\xa3end\x81\xa1x".to_vec();
    deep.extend([0x91; 1000]);
    let error = decode(Form::MessagePack, [framed(&deep).as_slice()]).unwrap_err();
    assert_eq!(error.to_string(), "frame 0: values nest too deep");
}

#[test]
fn a_transaction_names_so_many_chunks_and_no_more() {
    let trn = |n: usize, id: ChunkId| {
        let mut bytes = Vec::new();
        let chunks = vec![id; n];
        encode_frame(
            &Frame::Transaction(Transaction { id: TrnId::ROOT, seq: Seq(1), parent: TrnId::ROOT, chunks }),
            &mut bytes,
        );
        decode(Form::MessagePack, [bytes.as_slice()])
    };
    let short: ChunkId = "a".parse().unwrap();
    assert!(trn(100_000, short).is_ok());
    assert!(trn(100_001, short).is_err());
    assert!(trn(65_536, ChunkId::of(b"")).is_ok());
    assert!(trn(65_537, ChunkId::of(b"")).is_err());
}

#[test]
fn a_json_stream_is_one_array_and_nothing_else() {
    assert_eq!(decode(Form::Json, [b" [ ] ".as_slice()]).unwrap(), []);
    for bad in ["", "[", "{}", "[1]", "[,]", "[] []", "[{}", "[\"a\"]", "[{\"end\":1},]"] {
        assert!(decode(Form::Json, [bad.as_bytes()]).is_err(), "{bad}");
    }
}

#[test]
fn a_chunk_is_a_slice_of_what_arrived() {
    let mut bytes = Vec::new();
    let frame = Frame::Chunk(Chunk { id: "a".parse().unwrap(), bytes: Bytes::from(vec![7; 1 << 20]) });
    encode_frame(&frame, &mut bytes);
    let whole = Bytes::from(bytes.split_off(4));
    let Ok(Frame::Chunk(chunk)) = msgpack::read_frame(&whole) else { panic!("no chunk") };
    assert!(whole.as_ptr_range().contains(&chunk.bytes.as_ptr()));
}

#[test]
fn frames_of_borrowed_parts_are_the_same_bytes() {
    let chunks = vec![ChunkId::of(b"one"), "a-1".parse().unwrap()];
    let transaction = Transaction { id: TrnId::from_bytes([1; 16]), seq: Seq(300), parent: TrnId::ROOT, chunks };
    let chunk = Chunk { id: transaction.chunks[0], bytes: Bytes::from_static(b"one") };
    for form in [Form::MessagePack, Form::Json] {
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        let mut encoder = FrameEncoder::new(form);
        encoder.encode(&Frame::Transaction(transaction.clone()), &mut whole);
        encoder.encode(&Frame::Chunk(chunk.clone()), &mut whole);
        let mut encoder = FrameEncoder::new(form);
        let Transaction { id, seq, parent, chunks } = &transaction;
        encoder.encode_transaction(*id, *seq, *parent, chunks, &mut parts);
        encoder.encode_chunk(&chunk.id, &chunk.bytes, &mut parts);
        assert_eq!(parts, whole);
    }
}

proptest! {
    #[test]
    fn raw_frames_are_the_frames_they_were_made_of(frames in proptest::collection::vec(frame(), 0..6)) {
        let kept: Vec<Frame> =
            frames.into_iter().filter(|frame| matches!(frame, Frame::Transaction(_) | Frame::Chunk(_))).collect();
        let mut bytes = Vec::new();
        kept.iter().for_each(|frame| encode_frame(frame, &mut bytes));
        let (mut rest, mut read, mut joined) = (&bytes[..], Vec::new(), Vec::new());
        while let Some((raw, after)) = RawFrame::split(rest).unwrap() {
            let frame = raw.to_frame().unwrap();
            prop_assert_eq!(raw.is_transaction(), matches!(frame, Frame::Transaction(_)));
            prop_assert_ne!(raw.transaction().is_ok(), raw.chunk().is_ok());
            read.push(frame);
            joined.extend_from_slice(raw.bytes());
            rest = after;
        }
        prop_assert_eq!(&read, &kept);
        prop_assert_eq!(&joined, &bytes);
        for form in [Form::MessagePack, Form::Json] {
            let (mut one, mut other) = (FrameEncoder::new(form), FrameEncoder::new(form));
            let (mut by_frame, mut raw) = (Vec::new(), Vec::new());
            kept.iter().for_each(|frame| one.encode(frame, &mut by_frame));
            other.encode_raw(&bytes, &mut raw).unwrap();
            one.encode(&end(), &mut by_frame);
            other.encode(&end(), &mut raw);
            prop_assert_eq!(raw, by_frame);
        }
    }

    #[test]
    fn bytes_that_are_no_raw_frames_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut rest = &bytes[..];
        while let Ok(Some((raw, after))) = RawFrame::split(rest) {
            let _ = (raw.is_transaction(), raw.to_frame(), raw.transaction(), raw.chunk());
            rest = after;
        }
        let _ = FrameEncoder::new(Form::Json).encode_raw(&bytes, &mut Vec::new());
    }
}
