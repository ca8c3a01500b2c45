// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseFlow
import PulseWire

@testable import PulseTopics

/// A repeatable source of numbers (splitmix64).
struct Dice {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func roll(_ sides: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ (z >> 31)) >> 33) % sides
  }
}

extension [UInt8] {
  init(_ text: String) { self = Array(text.utf8) }
}

func text(_ bytes: [UInt8]) -> String { String(bytes: bytes, encoding: .utf8) ?? "not UTF-8" }

func object(_ bytes: [UInt8]) -> [String: Any] {
  (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any] ?? [:]
}

func makeInfo(_ name: String, number: UInt32 = 7, _ change: (inout TopicSettings) -> Void = { _ in }) -> TopicInfo {
  var settings = TopicSettings()
  settings.historyAge = 0
  change(&settings)
  return TopicInfo(name: Array(name), number: number, settings: settings)
}

func makePath(_ text: String) -> JSONPath? {
  if case .success(let path) = JSONPath.parse(Array(text)) { return path }
  return nil
}

func publication(
  _ topic: TopicInfo, _ payload: [UInt8], key: String? = nil, _ stamps: Stamps = Stamps()
) -> Result<Publication, PublishProblem> {
  payload.withUnsafeBytes { bytes in
    guard let key else { return Publication.make(topic, bytes, stamps) }
    return Array(key).withUnsafeBytes { Publication.make(topic, bytes, key: $0, stamps) }
  }
}

/// What a client sees of a server's bytes.
final class Decoder {
  enum Seen: Equatable {
    case text([UInt8])
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16)
    case failure
  }

  private let connection: WireConnection

  init(compressed: Bool) {
    connection = WireConnection(
      configuration: WireConfiguration(
        role: .client, deflate: compressed ? DeflateParameters(serverNoContextTakeover: true) : nil))
  }

  var compressedBytes: UInt64 { connection.compressedBytesIn }

  func read(_ frame: SharedFrame) -> [Seen] { withExtendedLifetime(frame) { read(frame.bytes) } }

  func read(_ bytes: UnsafeRawBufferPointer) -> [Seen] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyMemory(from: bytes)
    var seen: [Seen] = []
    var offset = 0
    while true {
      switch connection.receive(memory, from: &offset) {
      case .needMoreBytes: return seen
      case .message(let message): seen.append(message.kind == .text ? .text(Array(message.payload)) : .binary(Array(message.payload)))
      case .ping(let payload): seen.append(.ping(Array(payload)))
      case .pong(let payload): seen.append(.pong(Array(payload)))
      case .close(let code, _): return seen + [.close(code)]
      case .failure: return seen + [.failure]
      }
    }
  }
}

/// All that a queue has to write, as the client sees it.
func drain(_ queue: PeerQueue, _ encoder: FrameEncoder, _ decoder: Decoder) -> [Decoder.Seen] {
  var seen: [Decoder.Seen] = []
  while queue.hasWork {
    queue.fill(encoder)
    let bytes = queue.outgoing(0)
    seen += decoder.read(bytes)
    queue.advance(bytes.count)
  }
  return seen
}
