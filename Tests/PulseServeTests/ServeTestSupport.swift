// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseServe
import PulseText
import PulseWire
import Testing

/// What a parser made of the bytes of one connection.
struct Conversation: Equatable {
  /// "GET /path?query keep body", or "failed 400 bad_request".
  var results: [String] = []
  var sentence = ""
  /// Bytes that were used.
  var used = 0

  /// Sends the bytes in chunks, each in memory of just its size.
  init(_ bytes: [UInt8], cuts: [Int], limits: RequestLimits = RequestLimits()) {
    let parser = RequestParser(limits: limits)
    var at = 0
    for size in cuts {
      let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
      defer { chunk.deallocate() }
      chunk.copyBytes(from: bytes[at..<(at + size)])
      at += size
      var offset = 0
      reading: while true {
        let before = offset
        switch parser.receive(UnsafeRawBufferPointer(chunk), from: &offset) {
        case .needMoreBytes:
          #expect(offset == size, "bytes were left over")
          used += offset - before
          break reading
        case .request(let request):
          used += offset - before
          results.append(Self.describe(request))
          if request.isUpgrade { return }
        case .failed(let refusal):
          used += offset - before
          results.append("failed \(refusal.status) \(refusal.code)")
          sentence = text(refusal.message)
          #expect(refusal.closes)
          expectPlain(sentence)
          let place = offset
          guard case .failed = parser.receive(UnsafeRawBufferPointer(chunk), from: &offset), offset == place else {
            Issue.record("a failure is not final")
            return
          }
          return
        }
      }
    }
    if !parser.isIdle, results.isEmpty { results.append("incomplete") }
  }

  init(_ bytes: [UInt8], limits: RequestLimits = RequestLimits()) { self.init(bytes, cuts: [bytes.count], limits: limits) }

  private static func describe(_ request: Request) -> String {
    var words = [text(request.methodName), text(request.path)]
    if !request.query.raw.isEmpty { words[1] += "?" + text(request.query.raw) }
    words.append(request.isUpgrade ? "upgrade" : request.keepsAlive ? "keep" : "close")
    if !request.body.isEmpty { words.append(text(request.body)) }
    return words.joined(separator: " ")
  }

  static func == (a: Conversation, b: Conversation) -> Bool { a.results == b.results && a.used == b.used }
}

/// Whole, byte by byte, and in two at every place; long inputs at some places only.
func cuts(of count: Int) -> [[Int]] {
  let step = count < 4000 ? 1 : count / 10
  return [[count], [Int](repeating: 1, count: count)]
    + stride(from: 1, to: max(count, 1), by: step).map { [$0, count - $0] }
}

func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

func text(_ sentence: Sentence) -> String { text(sentence.bytes) }

func expectPlain(_ sentence: String, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(!sentence.isEmpty && sentence.utf8.count < 500, sourceLocation: sourceLocation)
  #expect(sentence.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "\(sentence)", sourceLocation: sourceLocation)
}

/// Lines with their ends, and an empty line.
func message(_ lines: String...) -> [UInt8] { Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) }

/// A valid request with more headers and a body.
func parsed(
  _ line: String = "GET / HTTP/1.1", _ headers: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
) throws -> Request {
  let bytes = Array(([line, "Host: h"] + headers + ["", ""]).joined(separator: "\r\n").utf8)
  let parser = RequestParser()
  var offset = 0
  let progress = bytes.withUnsafeBytes { parser.receive($0, from: &offset) }
  guard case .request(let request) = progress else {
    throw Failed(text: "\(line) \(headers): \(progress)")
  }
  return request
}

struct Failed: Error { var text: String }

/// Status, headers with their names in lower case, and body of an answer.
struct Answer {
  var status = 0
  var reason = ""
  var headers: [(name: String, value: String)] = []
  var body = ""

  init(_ bytes: [UInt8]) {
    let whole = text(bytes)
    guard let end = whole.range(of: "\r\n\r\n") else {
      Issue.record("an answer without an end: \(whole)")
      return
    }
    body = String(whole[end.upperBound...])
    var lines = whole[..<end.lowerBound].components(separatedBy: "\r\n")
    let first = lines.removeFirst().split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    #expect(first.count == 3 && first[0] == "HTTP/1.1")
    status = Int(first[1]) ?? 0
    reason = String(first[2])
    for line in lines {
      let colon = line.range(of: ": ")
      #expect(colon != nil, "\(line)")
      if let colon {
        headers.append((name: line[..<colon.lowerBound].lowercased(), value: String(line[colon.upperBound...])))
      }
    }
    for name in ["content-length", "content-type", "date", "connection"] {
      #expect(headers.filter { $0.name == name }.count <= 1, "two of \(name)")
    }
  }

  subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}
