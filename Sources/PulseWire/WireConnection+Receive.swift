// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseText

/// Reading frames that come in any parts. Every rule is checked at the byte that shows it to be broken.
extension WireConnection {
  @inline(never)
  func receiveStepwise(_ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int) -> WireEvent {
    if let failure {
      offset = chunk.count
      return .failure(failure)
    }
    isAtRest = false
    if lendsMemory {
      lendsMemory = false
      control.removeAll(keepingCapacityUpTo: 256)
      if messageKind == nil { assembly.removeAll(keepingCapacityUpTo: ByteQueue.retained) }
    }
    guard offset >= 0, offset <= chunk.count else { return .needMoreBytes }
    // RFC 6455 §5.5.1: after a close frame nothing more is to be processed.
    if closeReceived {
      offset = chunk.count
      return .needMoreBytes
    }
    let event = nextEvent(chunk, &offset)
    isAtRest = phase == .firstByte && messageKind == nil && !lendsMemory && !closeReceived && failure == nil
    return event
  }

  private func nextEvent(_ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int) -> WireEvent {
    while true {
      while phase != .payload {
        guard offset < chunk.count else { return .needMoreBytes }
        let byte = chunk[offset]
        offset &+= 1
        if let failure = takeHeaderByte(byte) { return fail(failure, chunk, &offset) }
      }
      let count = min(frameRemaining, chunk.count &- offset)
      let part = UnsafeMutableRawBufferPointer(start: chunk.baseAddress.map { $0 + offset }, count: count)
      if count > 0 {
        if isServer, let base = part.baseAddress {
          pulse_mask(base, base, count, maskKey)
          maskKey = pulse_mask_rotate(maskKey, count)
        }
        offset &+= count
        frameRemaining &-= count
      }
      let isWhole = frameRemaining == 0
      let event: WireEvent?
      if frameOpcode & 8 != 0 {
        event = takeControl(UnsafeRawBufferPointer(part), isWhole)
      } else {
        event = takeData(UnsafeRawBufferPointer(part), isWhole)
      }
      if isWhole { phase = .firstByte }
      if let event {
        if case .failure(let failure) = event { return fail(failure, chunk, &offset) }
        return event
      }
      if !isWhole { return .needMoreBytes }
    }
  }

  // MARK: Header

  private func takeHeaderByte(_ byte: UInt8) -> WireFailure? {
    switch phase {
    case .firstByte: return takeFirstByte(byte)
    case .secondByte: return takeSecondByte(byte)
    case .length:
      lengthSoFar = lengthSoFar << 8 | UInt64(byte)
      lengthBytesLeft &-= 1
      // RFC 6455 §5.2: the most significant bit of a length of 64 bits must be 0.
      if lengthBytesLeft == 7 && byte & 0x80 != 0 { return .lengthBit63 }
      // RFC 6455 §5.2: the minimal number of bytes must be used.
      if lengthBytesLeft == 2 && lengthSoFar == 0 { return .lengthNotMinimal }
      if lengthBytesLeft != 0 { return nil }
      if lengthSoFar < 126 { return .lengthNotMinimal }
      return takeLength(lengthSoFar)
    case .maskKey:
      maskBytesLeft &-= 1
      withUnsafeMutableBytes(of: &maskKey) { $0[Int(3 &- maskBytesLeft)] = byte }
      if maskBytesLeft == 0 { phase = .payload }
      return nil
    case .payload:
      return nil
    }
  }

  private func takeFirstByte(_ byte: UInt8) -> WireFailure? {
    let opcode = byte & 0x0F
    let reserved = byte & 0x70
    let isFinal = byte & 0x80 != 0
    // RFC 6455 §5.2: 3-7 and B-F are reserved.
    guard opcode <= 2 || (8...10).contains(opcode) else { return .opcode }
    if reserved != 0 {
      // RFC 6455 §5.2: reserved bits must be 0 unless an extension gives them a meaning.
      guard reserved == 0x40, deflate != nil else { return .reservedBit }
      // RFC 7692 §6: RSV1 stands on the first frame of a message only; §6.1: and never on a control frame.
      guard opcode == 1 || opcode == 2 else { return .compressedBitMisplaced }
    }
    if opcode & 8 != 0 {
      // RFC 6455 §5.5: control frames must not be fragmented.
      guard isFinal else { return .controlFragmented }
    } else if opcode == 0 {
      // RFC 6455 §5.4: a continuation needs a message that it continues.
      guard messageKind != nil else { return .continuationAlone }
    } else {
      // RFC 6455 §5.4: the fragments of two messages must not be mixed.
      guard messageKind == nil else { return .messageInterrupted }
      messageKind = opcode == 1 ? .text : .binary
      messageIsCompressed = reserved != 0
      messageCompressedBytes = 0
      validator = UTF8Validator()
    }
    frameOpcode = opcode
    frameIsFinal = isFinal
    phase = .secondByte
    return nil
  }

  private func takeSecondByte(_ byte: UInt8) -> WireFailure? {
    // RFC 6455 §5.1: a client masks every frame, a server none.
    guard (byte & 0x80 != 0) == isServer else { return isServer ? .notMasked : .masked }
    let length = byte & 0x7F
    if frameOpcode & 8 != 0 {
      // RFC 6455 §5.5: at most 125 bytes.
      guard length <= 125 else { return .controlTooLong }
      // RFC 6455 §5.5.1: a body begins with a code of 2 bytes.
      guard frameOpcode != 8 || length != 1 else { return .closeBodyOfOne }
    }
    maskBytesLeft = 4
    if length < 126 { return takeLength(UInt64(length)) }
    lengthSoFar = 0
    lengthBytesLeft = length == 126 ? 2 : 8
    // The checks of a long length count from 8 down; a short one is checked when it is whole.
    phase = .length
    return nil
  }

  private func takeLength(_ length: UInt64) -> WireFailure? {
    phase = isServer ? .maskKey : .payload
    // Only the count is kept here; memory is taken for bytes that have arrived.
    guard length <= UInt64(1) << 62 else { return .messageTooBig }
    frameRemaining = Int(length)
    if frameOpcode & 8 != 0 { return nil }
    if !messageIsCompressed {
      return frameRemaining > maxMessageSize &- assembly.count ? .messageTooBig : nil
    }
    // The limit is on what comes out. No compressor makes eight times more of a message; the bound keeps a peer from
    // sending empty blocks for ever.
    let bound = maxMessageSize &* 8 &+ 4096
    if frameRemaining > bound &- messageCompressedBytes { return .messageTooBig }
    messageCompressedBytes &+= frameRemaining
    return nil
  }

  /// The close frame among bytes that `receive` has not seen, which begin with a frame. Nothing else in them is judged.
  package func closeFrame(in bytes: UnsafeRawBufferPointer) -> (code: UInt16, reason: UnsafeRawBufferPointer)? {
    guard phase == .firstByte, failure == nil, !closeReceived else { return nil }
    var offset = 0
    while bytes.count &- offset >= 2 {
      let short = bytes[offset &+ 1]
      var header = 2
      var length = Int(short & 0x7F)
      if length >= 126 {
        header = length == 126 ? 4 : 10
        guard bytes.count &- offset >= header else { return nil }
        var long: UInt64 = 0
        for place in 2..<header { long = long << 8 | UInt64(bytes[offset &+ place]) }
        length = long > UInt64(bytes.count) ? bytes.count : Int(long)
      }
      if short & 0x80 != 0 { header &+= 4 }
      guard bytes.count &- offset &- header >= length else { return nil }
      let body = offset &+ header
      offset = body &+ length
      if bytes[body &- header] & 0x0F != 8 { continue }
      if length < 2 { return (CloseCode.absent, UnsafeRawBufferPointer(start: nil, count: 0)) }
      let code = UInt16(bytes[body]) << 8 | UInt16(bytes[body &+ 1])
      let reason = UnsafeRawBufferPointer(rebasing: bytes[(body &+ 2)..<offset])
      return CloseCode.isAllowedOnWire(code) && isValidUTF8(reason) ? (code, reason) : nil
    }
    return nil
  }

  // MARK: Payload

  private func takeControl(_ part: UnsafeRawBufferPointer, _ isWhole: Bool) -> WireEvent? {
    var body = part
    if !isWhole || !control.isEmpty {
      guard copy(part, into: &control, limit: 125) else { return .failure(.noMemory) }
      if !isWhole { return nil }
      body = control.readable
      lendsMemory = true
    }
    switch frameOpcode {
    case 9: return .ping(body)
    case 10: return .pong(body)
    default: return takeClose(body)
    }
  }

  private func takeClose(_ body: UnsafeRawBufferPointer) -> WireEvent {
    guard body.count >= 2 else {
      closeReceived = true
      return .close(code: CloseCode.absent, reason: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    let code = UInt16(body[0]) << 8 | UInt16(body[1])
    // RFC 6455 §7.4: the other codes are undefined, or stand for what never travels.
    guard CloseCode.isAllowedOnWire(code) else { return .failure(.closeCode) }
    let reason = UnsafeRawBufferPointer(rebasing: body[2...])
    // RFC 6455 §5.5.1: the reason is UTF-8.
    guard isValidUTF8(reason) else { return .failure(.closeReason) }
    closeReceived = true
    return .close(code: code, reason: reason)
  }

  private func takeData(_ part: UnsafeRawBufferPointer, _ isWhole: Bool) -> WireEvent? {
    guard let kind = messageKind else { return .failure(.continuationAlone) }
    let isLast = isWhole && frameIsFinal
    var payload = part
    if messageIsCompressed {
      if let failure = inflate(part, kind, isLast) { return .failure(failure) }
      if !isLast { return nil }
      payload = assembly.readable
      lendsMemory = true
    } else {
      // RFC 6455 §8.1, as soon as the byte is there.
      if kind == .text && !validator.consume(part) { return .failure(.invalidUTF8) }
      if !isLast || !assembly.isEmpty {
        guard copy(part, into: &assembly, limit: maxMessageSize) else { return .failure(.noMemory) }
        if !isLast { return nil }
        payload = assembly.readable
        lendsMemory = true
      }
    }
    // RFC 6455 §5.6: the message as a whole is UTF-8; its frames may end inside of a character.
    if kind == .text && !validator.isComplete { return .failure(.invalidUTF8) }
    messageKind = nil
    return .message(
      WireMessage(
        kind: kind, payload: payload, isASCII: kind == .text && validator.isASCII, wasCompressed: messageIsCompressed))
  }

  private func inflate(_ part: UnsafeRawBufferPointer, _ kind: MessageKind, _ isLast: Bool) -> WireFailure? {
    guard let deflate else { return .reservedBit }
    if decoder == nil {
      decoder = DeflateDecoder(noContextTakeover: deflate.noContextTakeover(of: role.peer))
    }
    guard let decoder else { return .noMemory }
    let before = assembly.count
    compressedBytesIn &+= UInt64(part.count)
    var progress = decoder.inflate(part, into: &assembly, limit: maxMessageSize)
    if progress == .done && isLast { progress = decoder.finish(into: &assembly, limit: maxMessageSize) }
    inflatedBytes &+= UInt64(assembly.count &- before)
    if kind == .text && assembly.count > before {
      let fresh = UnsafeRawBufferPointer(rebasing: assembly.readable[before...])
      if !validator.consume(fresh) { return .invalidUTF8 }
    }
    switch progress {
    case .done: return nil
    case .malformed: return .notDeflate
    case .tooMuch: return .messageTooBig
    case .noMemory: return .noMemory
    }
  }

  /// False if there is no memory.
  private func copy(_ part: UnsafeRawBufferPointer, into queue: inout ByteQueue, limit: Int) -> Bool {
    guard let source = part.baseAddress, part.count > 0 else { return true }
    guard let place = queue.tryReserve(part.count, limit: limit) else { return false }
    pulse_memory_copy(place, source, part.count)
    queue.commit(part.count)
    return true
  }
}

/// Every failure that reading frames can end with.
extension WireFailure {
  static var opcode: WireFailure {
    WireFailure(.protocolError, "the opcode is not one that is defined (RFC 6455 §5.2)")
  }
  static var reservedBit: WireFailure {
    WireFailure(.protocolError, "a reserved bit is set without an extension (RFC 6455 §5.2)")
  }
  static var compressedBitMisplaced: WireFailure {
    WireFailure(.protocolError, "a frame other than the first of a data message is marked compressed (RFC 7692 §6)")
  }
  static var controlFragmented: WireFailure {
    WireFailure(.protocolError, "a control frame is fragmented (RFC 6455 §5.5)")
  }
  static var controlTooLong: WireFailure {
    WireFailure(.protocolError, "a control frame is longer than 125 bytes (RFC 6455 §5.5)")
  }
  static var continuationAlone: WireFailure {
    WireFailure(.protocolError, "a continuation frame has no message to continue (RFC 6455 §5.4)")
  }
  static var messageInterrupted: WireFailure {
    WireFailure(.protocolError, "a new message begins before the last one has ended (RFC 6455 §5.4)")
  }
  static var masked: WireFailure {
    WireFailure(.protocolError, "the server masked a frame (RFC 6455 §5.1)")
  }
  static var notMasked: WireFailure {
    WireFailure(.protocolError, "the client did not mask a frame (RFC 6455 §5.1)")
  }
  static var lengthBit63: WireFailure {
    WireFailure(.protocolError, "a frame's length has its highest bit set (RFC 6455 §5.2)")
  }
  static var lengthNotMinimal: WireFailure {
    WireFailure(.protocolError, "a frame's length takes more bytes than it needs (RFC 6455 §5.2)")
  }
  static var closeBodyOfOne: WireFailure {
    WireFailure(.protocolError, "the body of a close frame is a single byte (RFC 6455 §5.5.1)")
  }
  static var closeCode: WireFailure {
    WireFailure(.protocolError, "a close frame has a code that must not be sent (RFC 6455 §7.4)")
  }
  static var closeReason: WireFailure {
    WireFailure(.invalidPayload, "the reason of a close frame is not UTF-8 (RFC 6455 §5.5.1)")
  }
  static var invalidUTF8: WireFailure {
    WireFailure(.invalidPayload, "a text message is not UTF-8 (RFC 6455 §8.1)")
  }
  static var notDeflate: WireFailure {
    WireFailure(.deflateError, "a compressed message does not inflate (RFC 7692 §7.2.2)")
  }
  static var messageTooBig: WireFailure {
    WireFailure(.tooBig, "a message is larger than the limit (RFC 6455 §10.4)")
  }
  package static var noMemory: WireFailure {
    WireFailure(.noMemory, "there is no memory for a message")
  }
}
