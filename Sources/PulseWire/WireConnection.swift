// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// The engine of one connection after the upgrade, in either role: bytes in, events out; messages in, bytes out.
///
/// It has no clock, no randomness, no socket and no lock: mask keys are passed in, and whoever owns the connection
/// serialises the calls. One chunk may hold many events: call `receive` until it gives `needMoreBytes`.
///
///     var offset = 0
///     while true {
///       switch connection.receive(chunk, from: &offset) {
///       case .needMoreBytes: return
///       case .message(let message): deliver(message)
///       ...
///
/// Answering pings and close frames is the caller's part, since it decides what else is to be sent before.
package final class WireConnection {
  /// Where the reading of a frame stands.
  enum Phase: UInt8 {
    case firstByte, secondByte, length, maskKey, payload
  }

  // Small members stand together: a hub has one of these for each peer.

  // MARK: Fixed

  package let role: Role
  let isServer: Bool

  // MARK: Receiving

  /// Nothing is half-done, so that `receive` may take its short way.
  var isAtRest = true
  var phase = Phase.firstByte
  /// The message event of the last call still points into `assembly` or `control`.
  var lendsMemory = false

  var frameOpcode: UInt8 = 0
  var frameIsFinal = false
  var lengthBytesLeft: UInt8 = 0
  var maskBytesLeft: UInt8 = 0
  /// The kind of the message whose last frame has not come yet.
  var messageKind: MessageKind?
  var messageIsCompressed = false

  // MARK: State that others may see

  package internal(set) var closeSent = false
  package internal(set) var closeReceived = false

  // MARK: Compression

  var encoderIsUnusable = false
  let deflate: DeflateParameters?
  let compressionLevel: Int32
  /// Payloads from this size on are compressed; Int.max for never.
  let compressFrom: Int
  package var compresses: Bool { compressFrom != Int.max }
  var decoder: DeflateDecoder?
  var encoder: DeflateEncoder?

  /// Payload bytes of compressed frames that were received, and what came out of them.
  package internal(set) var compressedBytesIn: UInt64 = 0
  package internal(set) var inflatedBytes: UInt64 = 0
  /// Payload bytes that were given to the compressor, and what came out of it.
  package internal(set) var plainBytesOut: UInt64 = 0
  package internal(set) var compressedBytesOut: UInt64 = 0

  // MARK: The frame and the message that come

  /// The key that fits the next payload byte, its bytes in memory order.
  var maskKey: UInt32 = 0
  var validator = UTF8Validator()
  let maxMessageSize: Int
  var frameRemaining = 0
  var lengthSoFar: UInt64 = 0
  /// Compressed bytes of the message that came or were announced.
  var messageCompressedBytes = 0
  /// A message that came in parts, as far as it has come.
  var assembly = ByteQueue()
  /// A control frame that came in parts; apart from `assembly` because it may interrupt a message.
  var control = ByteQueue()
  /// Why the connection failed; nothing is read after that.
  package internal(set) var failure: WireFailure?

  package init(configuration: WireConfiguration) {
    role = configuration.role
    isServer = configuration.role == .server
    // The bound keeps sums of sizes far from overflow.
    maxMessageSize = min(max(configuration.maxMessageSize, 0), 1 << 48)
    deflate = configuration.deflate
    compressionLevel = configuration.compressionLevel
    if let deflate = configuration.deflate,
      DeflateEncoder.supports(windowBits: deflate.windowBits(of: configuration.role))
    {
      // An empty message has nothing to compress.
      compressFrom = max(configuration.compressionThreshold, 1)
    } else {
      compressFrom = .max
    }
  }

  /// Memory held for messages and control frames that came in parts, in bytes; zlib's state is not counted.
  package var bufferedCapacity: Int { assembly.allocatedBytes &+ control.allocatedBytes }

  /// Reads on from `offset`, which moves behind what was used, up to the next event.
  ///
  /// An unfragmented message that lies in the chunk as a whole is a slice of the chunk. The server's role unmasks in
  /// place; bytes from `offset` on must not be presented a second time.
  @_optimize(speed)
  package func receive(_ chunk: UnsafeMutableRawBufferPointer, from offset: inout Int) -> WireEvent {
    let start = offset
    let available = chunk.count &- start
    // The short way: a final, uncompressed data frame, not in the middle of a message, in the chunk as a whole.
    if isAtRest, start >= 0, available >= 2, let base = chunk.baseAddress {
      let frame = base + start
      let first = frame.load(as: UInt8.self)
      let second = frame.load(fromByteOffset: 1, as: UInt8.self)
      if first == 0x81 || first == 0x82, (second & 0x80 != 0) == isServer {
        var length = Int(second & 0x7F)
        var header = 2
        if length == 126 && available >= 4 {
          length = Int(UInt16(bigEndian: frame.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
          header = length >= 126 ? 4 : .max / 2
        } else if length >= 126 {
          header = .max / 2
        }
        if isServer { header &+= 4 }
        if header &+ length <= available && length <= maxMessageSize {
          let payload = frame + header
          if isServer {
            pulse_mask(payload, payload, length, frame.loadUnaligned(fromByteOffset: header &- 4, as: UInt32.self))
          }
          var isASCII = false
          if first == 0x81 {
            let verdict = pulse_utf8_check(payload, length)
            if verdict == 0 { return fail(.invalidUTF8, chunk, &offset) }
            isASCII = verdict & Int32(PULSE_UTF8_ASCII) != 0
          }
          offset = start &+ header &+ length
          return .message(
            WireMessage(
              kind: first == 0x81 ? .text : .binary, payload: UnsafeRawBufferPointer(start: payload, count: length),
              isASCII: isASCII, wasCompressed: false))
        }
      }
    }
    return receiveStepwise(chunk, &offset)
  }

  /// Ends the reading for good.
  func fail(
    _ reason: WireFailure, _ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int
  ) -> WireEvent {
    failure = reason
    isAtRest = false
    offset = chunk.count
    assembly.removeAll(keepingCapacityUpTo: 0)
    control.removeAll(keepingCapacityUpTo: 0)
    decoder = nil
    return .failure(reason)
  }
}
