// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// Writing frames. Every call appends whole frames, header and payload in one piece, and leaves the queue as it was
/// when it returns false.
extension WireConnection {
  /// Appends a message as one frame, compressed if that was negotiated and the payload reaches the threshold.
  ///
  /// The caller has checked that a text is UTF-8. `maskKey` is four bytes in memory order, fresh from a secure
  /// source for each frame (RFC 6455 §5.3); the server's role ignores it. False after a close frame, when no data may
  /// follow (RFC 6455 §5.5.1).
  @discardableResult @_optimize(speed)
  package func encode(
    _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, maskKey: UInt32, into queue: inout ByteQueue
  ) -> Bool {
    if closeSent { return false }
    if payload.count >= compressFrom, encodeCompressed(kind, payload, maskKey, &queue) { return true }
    appendFrame(first: 0x80 | kind.rawValue, payload, maskKey, &queue)
    return true
  }

  /// The largest payload of a frame of `encodeFragments`: its header in the client's role always has 8 bytes.
  package static let fragmentSize = 65_520

  /// Appends a message in frames of `fragmentSize` (the last one may be shorter), compressed if it may be and that was
  /// negotiated. `maskKey` gives a key for each frame. True if the message is compressed.
  @inline(never)
  package func encodeFragments(
    _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, compresses: Bool, into queue: inout ByteQueue,
    maskKey: () -> UInt32
  ) -> Bool {
    if closeSent { return false }
    var compressed = ByteQueue()
    let isCompressed = compresses && payload.count >= compressFrom && deflate(payload, into: &compressed)
    let bytes = isCompressed ? compressed.readable : payload
    var first: UInt8 = (isCompressed ? 0x40 : 0) | kind.rawValue
    var offset = 0
    repeat {
      let end = min(offset &+ Self.fragmentSize, bytes.count)
      if end == bytes.count { first |= 0x80 }
      appendFrame(first: first, UnsafeRawBufferPointer(rebasing: bytes[offset..<end]), maskKey(), &queue)
      first = 0
      offset = end
    } while offset < bytes.count
    return isCompressed
  }

  /// Appends one frame of a message in parts, uncompressed: `kind` on the first, nil on those that continue it.
  @discardableResult
  package func encodeFragment(
    _ kind: MessageKind?, isFinal: Bool, _ payload: UnsafeRawBufferPointer, maskKey: UInt32,
    into queue: inout ByteQueue
  ) -> Bool {
    if closeSent { return false }
    appendFrame(first: (isFinal ? 0x80 : 0) | (kind?.rawValue ?? 0), payload, maskKey, &queue)
    return true
  }

  /// False for more than 125 bytes (RFC 6455 §5.5) and after a close frame.
  @discardableResult
  package func encodePing(
    _ payload: UnsafeRawBufferPointer, maskKey: UInt32, into queue: inout ByteQueue
  ) -> Bool {
    encodeControl(0x89, payload, maskKey, &queue)
  }

  /// False for more than 125 bytes (RFC 6455 §5.5) and after a close frame.
  @discardableResult
  package func encodePong(
    _ payload: UnsafeRawBufferPointer, maskKey: UInt32, into queue: inout ByteQueue
  ) -> Bool {
    encodeControl(0x8A, payload, maskKey, &queue)
  }

  /// Appends the close frame; later calls of any kind do nothing.
  ///
  /// Without a code, or with one that must not travel (RFC 6455 §7.4), the frame has no body: that is also how a close
  /// without a code is echoed. A reason is cut after the last character that fits into 123 bytes.
  @discardableResult
  package func encodeClose(
    code: UInt16?, reason: UnsafeRawBufferPointer, maskKey: UInt32, into queue: inout ByteQueue
  ) -> Bool {
    if closeSent { return false }
    closeSent = true
    guard let code, CloseCode.isAllowedOnWire(code) else {
      appendFrame(first: 0x88, UnsafeRawBufferPointer(start: nil, count: 0), maskKey, &queue)
      return true
    }
    var count = min(reason.count, 123)
    if count < reason.count {
      while count > 0 && reason[count] & 0xC0 == 0x80 { count &-= 1 }
    }
    withUnsafeTemporaryAllocation(byteCount: 125, alignment: 1) { body in
      body[0] = UInt8(code >> 8)
      body[1] = UInt8(code & 0xFF)
      if count > 0, let base = body.baseAddress { pulse_memory_copy(base + 2, reason.baseAddress, count) }
      appendFrame(first: 0x88, UnsafeRawBufferPointer(rebasing: body[..<(count &+ 2)]), maskKey, &queue)
    }
    return true
  }

  private func encodeControl(
    _ first: UInt8, _ payload: UnsafeRawBufferPointer, _ maskKey: UInt32, _ queue: inout ByteQueue
  ) -> Bool {
    if closeSent || payload.count > 125 { return false }
    appendFrame(first: first, payload, maskKey, &queue)
    return true
  }

  @inline(__always)
  private func appendFrame(
    first: UInt8, _ payload: UnsafeRawBufferPointer, _ maskKey: UInt32, _ queue: inout ByteQueue
  ) {
    let count = payload.count
    let frame = queue.reserve(count &+ 14)
    var header = writeHeader(frame, first, count)
    if isServer {
      pulse_memory_copy(frame + header, payload.baseAddress, count)
    } else {
      frame.storeBytes(of: maskKey, toByteOffset: header, as: UInt32.self)
      header &+= 4
      pulse_mask(frame + header, payload.baseAddress, count, maskKey)
    }
    queue.commit(header &+ count)
  }

  /// Writes everything but the mask key, and returns the length of that: 2, 4 or 10.
  @inline(__always)
  private func writeHeader(_ frame: UnsafeMutableRawPointer, _ first: UInt8, _ count: Int) -> Int {
    let maskBit: UInt8 = isServer ? 0 : 0x80
    frame.storeBytes(of: first, as: UInt8.self)
    if count < 126 {
      frame.storeBytes(of: maskBit | UInt8(truncatingIfNeeded: count), toByteOffset: 1, as: UInt8.self)
      return 2
    }
    if count < 65_536 {
      frame.storeBytes(of: maskBit | 126, toByteOffset: 1, as: UInt8.self)
      frame.storeBytes(of: UInt16(truncatingIfNeeded: count).bigEndian, toByteOffset: 2, as: UInt16.self)
      return 4
    }
    frame.storeBytes(of: maskBit | 127, toByteOffset: 1, as: UInt8.self)
    frame.storeBytes(of: UInt64(truncatingIfNeeded: count).bigEndian, toByteOffset: 2, as: UInt64.self)
    return 10
  }

  /// Appends the compressed payload; false if the message is to go out as it is.
  private func deflate(_ payload: UnsafeRawBufferPointer, into queue: inout ByteQueue) -> Bool {
    guard let deflate, !encoderIsUnusable else { return false }
    if encoder == nil {
      encoder = DeflateEncoder(
        windowBits: deflate.windowBits(of: role), noContextTakeover: deflate.noContextTakeover(of: role),
        level: compressionLevel)
    }
    let before = queue.count
    guard let encoder, encoder.deflate(payload, into: &queue) else {
      // What the peer's history would be is unknown now; messages that are not compressed do not need it.
      encoderIsUnusable = true
      self.encoder = nil
      return false
    }
    let count = queue.count &- before
    // With a history the peer must see what went into it, also where that did not get shorter.
    if encoder.forgets && count >= payload.count {
      queue.dropLast(count)
      return false
    }
    plainBytesOut &+= UInt64(payload.count)
    compressedBytesOut &+= UInt64(count)
    return true
  }

  /// False if the message is to go out as it is.
  @inline(never)
  private func encodeCompressed(
    _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, _ maskKey: UInt32, _ queue: inout ByteQueue
  ) -> Bool {
    // The header's length depends on what comes out: leave room for the longest, and close the gap afterwards.
    let before = queue.count
    let gap = 14
    guard queue.tryReserve(gap, limit: .max) != nil else { return false }
    queue.commit(gap)
    guard deflate(payload, into: &queue) else {
      queue.dropLast(gap)
      return false
    }
    let count = queue.count &- before &- gap
    guard let frame = queue.writable.baseAddress.map({ $0 + before }) else { return false }
    // RFC 7692 §6: RSV1 marks the message as compressed.
    var header = writeHeader(frame, 0xC0 | kind.rawValue, count)
    if isServer {
      pulse_memory_move(frame + header, frame + gap, count)
    } else {
      frame.storeBytes(of: maskKey, toByteOffset: header, as: UInt32.self)
      header &+= 4
      if header != gap { pulse_memory_move(frame + header, frame + gap, count) }
      pulse_mask(frame + header, frame + header, count, maskKey)
    }
    queue.dropLast(gap &- header)
    return true
  }
}

extension WireConnection {
  /// The payload of a message that was made in the client's role and not compressed, unmasked in place. `frames`: the
  /// whole frame of `encode`, or all those of `encodeFragments`.
  package static func unmaskedPayload(of frames: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer {
    var start = 0
    var end = 0
    var offset = 0
    while frames.count &- offset >= 6, let base = frames.baseAddress {
      let short = frames[offset &+ 1] & 0x7F
      let header = short < 126 ? 6 : (short == 126 ? 8 : 14)
      let rest = frames.count &- offset &- header
      if rest < 0 { break }
      var count = rest
      if short < 126 { count = Int(short) }
      if short == 126 { count = Int(UInt16(bigEndian: base.loadUnaligned(fromByteOffset: offset &+ 2, as: UInt16.self))) }
      if count > rest { count = rest }
      let key = base.loadUnaligned(fromByteOffset: offset &+ header &- 4, as: UInt32.self)
      offset &+= header
      pulse_mask(base + offset, base + offset, count, key)
      if start == 0 {
        start = offset
        end = offset
      } else {
        pulse_memory_move(base + end, base + offset, count)
      }
      end &+= count
      offset &+= count
    }
    return UnsafeMutableRawBufferPointer(rebasing: frames[start..<end])
  }
}
