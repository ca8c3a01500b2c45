// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseWire

/// One vector of Tests/Vectors/frames.txt; the format is described there.
struct FrameVector {
  struct Frame {
    var first: [UInt8] = []
    var length: [UInt8] = []
    var payload: [UInt8] = []
  }

  var name = ""
  var role: Role?
  var limit = 16 << 20
  var deflate: DeflateParameters?
  var frames: [Frame] = []
  var raw: [UInt8]?
  var expected: [SeenEvent] = []
  var isPartial = false

  /// What travels to a receiver in `role`.
  func bytes(to role: Role) -> [UInt8] {
    if let raw { return raw }
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    var bytes: [UInt8] = []
    for frame in frames {
      bytes += frame.first
      guard let length = frame.length.first else { continue }
      if role == .client {
        bytes += frame.length + frame.payload
        continue
      }
      bytes.append(length | 0x80)
      bytes += frame.length.dropFirst()
      let fieldSize = length == 126 ? 3 : length == 127 ? 9 : 1
      // A frame that is cut off inside of its length has no key. One that is cut off behind it has none either:
      // the length alone must be enough to judge it.
      if frame.length.count < fieldSize || (frame.payload.isEmpty && length != 0) { continue }
      bytes += key
      bytes += frame.payload.enumerated().map { $1 ^ key[$0 & 3] }
    }
    return bytes
  }

  var roles: [Role] { role.map { [$0] } ?? [.client, .server] }

  func configuration(_ role: Role) -> WireConfiguration {
    WireConfiguration(role: role, maxMessageSize: limit, deflate: deflate)
  }

  static func load() throws -> [FrameVector] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Vectors/frames.txt")
    var vectors: [FrameVector] = []
    var current: FrameVector?
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("#") { continue }
      let words = line.split(separator: " ").map(String.init)
      guard let word = words.first else {
        if let done = current { vectors.append(done) }
        current = nil
        continue
      }
      switch word {
      case "name": current = FrameVector(name: words.dropFirst().joined(separator: " "))
      case "role": current?.role = words[1] == "client" ? .client : .server
      case "limit": current?.limit = Int(words[1]) ?? 0
      case "deflate":
        let values = words.dropFirst().compactMap { Int($0) }
        current?.deflate = DeflateParameters(
          clientNoContextTakeover: values[0] == 1, serverNoContextTakeover: values[1] == 1,
          clientMaxWindowBits: values[2], serverMaxWindowBits: values[3])
      case "in":
        current?.frames.append(
          Frame(first: hex(words[1]), length: hex(words[2]), payload: hex(words[3])))
      case "raw": current?.raw = hex(words[1])
      case "out": current?.expected.append(event(Array(words.dropFirst())))
      case "partial": current?.isPartial = true
      default: throw CocoaError(.fileReadCorruptFile)
      }
    }
    if let done = current { vectors.append(done) }
    return vectors
  }

  private static func event(_ words: [String]) -> SeenEvent {
    switch words[0] {
    case "text": return .message(.text, hex(words[1]))
    case "binary": return .message(.binary, hex(words[1]))
    case "ping": return .ping(hex(words[1]))
    case "pong": return .pong(hex(words[1]))
    case "close": return .close(UInt16(words[1]) ?? 0, hex(words[2]))
    default:
      switch words[1] {
      case "payload": return .failure(.invalidPayload)
      case "deflate": return .failure(.deflateError)
      case "toobig": return .failure(.tooBig)
      default: return .failure(.protocolError)
      }
    }
  }

  /// `61*3+ff` is 61 61 61 ff; `-` is nothing.
  private static func hex(_ text: String) -> [UInt8] {
    if text == "-" { return [] }
    return text.split(separator: "+").flatMap { part -> [UInt8] in
      let pieces = part.split(separator: "*")
      let digits = Array(pieces[0].utf8)
      precondition(digits.count % 2 == 0, "odd number of hex digits: \(text)")
      let bytes = stride(from: 0, to: digits.count, by: 2).map {
        UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16) ?? 0
      }
      let times = pieces.count > 1 ? Int(pieces[1]) ?? 0 : 1
      if bytes.count == 1 { return [UInt8](repeating: bytes[0], count: times) }
      return Array(repeatElement(bytes, count: times).joined())
    }
  }
}
