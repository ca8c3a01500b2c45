// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseFlow

private func isValid(_ text: [UInt8]) -> Bool {
  withExact(text) {
    var scanner = JSONScanner($0)
    return scanner.skipValue() && scanner.isAtEnd()
  }
}

private func foundationAccepts(_ text: [UInt8]) -> Bool {
  (try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)) != nil
}

/// Foundation allows a comma behind the last item.
private func hasCommaBeforeEnd(_ text: [UInt8]) -> Bool {
  var afterComma = false
  for byte in text where byte != 0x20 {
    if afterComma && (byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}")) { return true }
    afterComma = byte == UInt8(ascii: ",")
  }
  return false
}

@Suite struct JSONVectorTests {
  /// A kind, and the text; the format is described in the file.
  private static let vectors: [(kind: String, text: [UInt8])] = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Vectors/json.txt")
    guard let lines = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    return lines.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
      var text: [UInt8] = []
      var rest = Array(line.utf8.dropFirst(4))[...]
      while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
          text.append(value)
          rest = rest.dropFirst(2)
        } else {
          text.append(byte)
        }
      }
      return (String(line.prefix(1)), text)
    }
  }()

  @Test func vectors() {
    #expect(Self.vectors.count > 250)
    for (kind, text) in Self.vectors {
      let shown = String(decoding: text, as: UTF8.self).debugDescription
      #expect(isValid(text) == (kind != "n"), "\(shown)")
      // Inside of others, and with white space around, it is the same, unless it has a comma or ends something.
      let spaced = bytes(" \n") + text + bytes("\r\t ")
      #expect(isValid(spaced) == (kind != "n"), "\(shown)")
      if kind != "n" {
        #expect(isValid(bytes("[0,") + text + bytes("]")) && isValid(bytes("{\"k\":") + text + bytes(",\"l\":1}")))
      }
      // Not with less or more.
      for size in 0..<text.count where kind == "y" && "[{\"".utf8.contains(text[0]) {
        let isSpace = text[size...].allSatisfy { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
        #expect(isValid(Array(text[..<size])) == isSpace, "\(shown) cut to \(size)")
      }
    }
  }

  @Test func foundationAgreesOnTheVectors() {
    for (kind, text) in Self.vectors where kind != "u" {
      // It takes a NUL for a sign of UTF-16.
      if text.contains(0) || hasCommaBeforeEnd(text) { continue }
      #expect(foundationAccepts(text) == (kind == "y"), "\(String(decoding: text, as: UTF8.self).debugDescription)")
    }
  }

  /// All short texts from a few letters.
  @Test(
    arguments: [
      (["0", "1", "-", "+", ".", "e", "E"], 5), (["\"", "\\", "u", "n", "0", "/"], 6),
      (["{", "}", "[", "]", ",", ":", "\"a\"", "1"], 5), (["{\"", "\":", "}", "[", "]", ",", "true", " "], 5),
    ])
  func foundationAgreesOnAllShortTexts(letters: [String], length: Int) {
    let letters = letters.map { bytes($0) }
    var differences = 0
    var accepted = 0
    func visit(_ text: [UInt8], _ left: Int) {
      if !text.isEmpty {
        let ours = isValid(text)
        if ours { accepted += 1 }
        if hasCommaBeforeEnd(text) ? ours && !text.contains(UInt8(ascii: "\"")) : ours != foundationAccepts(text) {
          differences += 1
          if differences < 5 { Issue.record("\(String(decoding: text, as: UTF8.self).debugDescription): \(ours)") }
        }
      }
      if left > 0 { for letter in letters { visit(text + letter, left - 1) } }
    }
    visit([], length)
    #expect(differences == 0 && accepted > 20)
  }
}
