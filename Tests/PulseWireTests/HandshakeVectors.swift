// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseWire

/// The files of Tests/Vectors that belong to the handshake. Their format is described at their beginning.
struct HandshakeVector: CustomTestStringConvertible, Sendable {
  var name: String
  var settings: [String: String] = [:]
  var bytes: [UInt8] = []
  var expected = ""

  var testDescription: String { name }

  static func lines(_ file: String) -> [String] {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Vectors/\(file)")
    guard let text = try? String(contentsOf: path, encoding: .utf8) else { return [] }
    return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  static func load(_ file: String, valid: [String]) -> [HandshakeVector] {
    var vectors: [HandshakeVector] = []
    for line in lines(file) where !line.hasPrefix("#") {
      if line.hasPrefix("== ") {
        vectors.append(HandshakeVector(name: String(line.dropFirst(3))))
        continue
      }
      guard !line.isEmpty, !vectors.isEmpty else { continue }
      let last = vectors.count - 1
      if line == "$OK" {
        for header in valid { vectors[last].bytes += Array((header + "\r\n").utf8) }
      } else if line == ">" {
        vectors[last].bytes += [13, 10]
      } else if line.hasPrefix("> ") {
        vectors[last].bytes += unescaped(line.dropFirst(2)) + [13, 10]
      } else if line.hasPrefix("| ") {
        vectors[last].bytes += unescaped(line.dropFirst(2))
      } else if line.hasPrefix("offer:") || line.hasPrefix("protocols:") {
        let colon = line.firstIndex(of: ":")!
        vectors[last].settings[String(line[..<colon])] = line[line.index(after: colon)...]
          .trimmingCharacters(in: .whitespaces)
      } else {
        #expect(vectors[last].expected == "", "two expectations in \(vectors[last].name)")
        vectors[last].expected = line
      }
    }
    return vectors
  }

  static func unescaped(_ text: some StringProtocol, repeatTo total: Int? = nil) -> [UInt8] {
    var out: [UInt8] = []
    let bytes = Array(text.utf8)
    var at = 0
    while at < bytes.count {
      let next = at + 1 < bytes.count ? bytes[at + 1] : 0
      if bytes[at] != UInt8(ascii: "\\") {
        out.append(bytes[at])
        at += 1
      } else if next == UInt8(ascii: "x"), at + 3 < bytes.count {
        out.append(UInt8(String(decoding: bytes[(at + 2)...(at + 3)], as: UTF8.self), radix: 16)!)
        at += 4
      } else if next == UInt8(ascii: "*"), let last = out.last {
        let count = total.map { $0 - out.count } ?? Int(String(decoding: bytes[(at + 2)...], as: UTF8.self))!
        out += [UInt8](repeating: last, count: count)
        at = bytes.count
      } else {
        switch next {
        case UInt8(ascii: "r"): out.append(13)
        case UInt8(ascii: "n"): out.append(10)
        case UInt8(ascii: "\\"): out.append(next)
        default: out += [bytes[at], next]
        }
        at += 2
      }
    }
    return out
  }

  /// "client_max_window_bits; server_max_window_bits=10", "-" for no parameter.
  static func offer(_ text: String?) -> DeflateOffer? {
    guard let text else { return nil }
    var offer = DeflateOffer(clientMaxWindowBits: nil)
    for part in text.split(separator: ";") {
      let pair = part.trimmingCharacters(in: .whitespaces).split(separator: "=")
      let value = pair.count > 1 ? Int(pair[1])! : 0
      switch pair[0] {
      case "client_no_context_takeover": offer.clientNoContextTakeover = true
      case "server_no_context_takeover": offer.serverNoContextTakeover = true
      case "client_max_window_bits": offer.clientMaxWindowBits = value
      case "server_max_window_bits": offer.serverMaxWindowBits = value
      default: break
      }
    }
    return offer
  }

  static func names(_ text: String?) -> [String] {
    (text ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
  }

  /// The ways to cut `count` bytes into chunks: whole, byte by byte, and in two at every place. Very long inputs are cut
  /// at some places only.
  static func cuts(of count: Int) -> [[Int]] {
    var cuts: [[Int]] = [[count], [Int](repeating: 1, count: count)]
    let step = count < 4000 ? 1 : count / 10
    for first in stride(from: 1, to: max(count, 1), by: step) { cuts.append([first, count - first]) }
    return cuts
  }
}

/// Printable ASCII and what UTF-8 adds, but nothing that steers a terminal.
func expectPlain(_ sentence: String, _ name: String = "", sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(!sentence.isEmpty, "\(name)", sourceLocation: sourceLocation)
  #expect(sentence.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "\(name): \(sentence)", sourceLocation: sourceLocation)
  #expect(sentence.utf8.count < 500, "\(name): \(sentence)", sourceLocation: sourceLocation)
}

extension Array where Element == UInt8 {
  /// Hands the bytes out in chunks of the given sizes, from memory of just that size, so that a read behind the chunk is
  /// seen by the address sanitizer.
  func forEachChunk(_ sizes: [Int], _ body: (UnsafeRawBufferPointer) -> Bool) {
    var at = 0
    for size in sizes {
      let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
      defer { chunk.deallocate() }
      chunk.copyBytes(from: self[at..<(at + size)])
      at += size
      if !body(UnsafeRawBufferPointer(chunk)) { return }
    }
  }
}
