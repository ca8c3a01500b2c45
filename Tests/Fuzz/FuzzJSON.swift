// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Paths meet a message. Input: the paths, one a line, a NUL, the message. A reader of all paths finds what each path
/// finds on its own, and what is JSON to the scanner is JSON to Foundation.
func fuzzJSON(_ bytes: UnsafeRawBufferPointer) {
  guard let split = bytes.firstIndex(of: 0) else { return }
  let message = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count - split - 1, alignment: 1)
  defer { message.deallocate() }
  message.copyBytes(from: bytes[(split + 1)...])
  let text = UnsafeRawBufferPointer(message)

  var paths: [JSONPath] = []
  for line in bytes[..<split].split(separator: 0x0A) where paths.count < FieldReader.maxPaths {
    if case .success(let path) = JSONPath.parse(Array(line)) { paths.append(path) }
  }
  let third = paths.count / 3
  let keys = Array(paths[..<third])
  let others = Array(paths[third..<(2 * third)])
  if let reader = FieldReader(keys: keys, sequenceKeys: others, numbers: Array(paths[(2 * third)...])) {
    reader.read(text)
    for (index, path) in paths.enumerated() {
      let found = reader.value(index)
      let expected = path.value(in: text)
      fuzzRequire(
        found?.baseAddress == expected?.baseAddress && found?.count == expected?.count, "a path finds another value")
    }
    for group in [FieldReader.Group.key, .sequenceKey] {
      fuzzRequire((reader.key(group)?.count ?? 0) <= FieldReader.maxKeySize, "a key is too long")
    }
    for index in 0..<FieldReader.maxPaths { fuzzRequire((reader.number(index) ?? 0) >= 0, "a number is negative") }
  }

  var scanner = JSONScanner(text)
  let isValid = scanner.skipValue() && scanner.isAtEnd()
  // It takes these for other encodings, or refuses what is no character or too large for a Double.
  let isOdd =
    text.contains(0) || text.first == 0xEF || text.first == 0xFE || text.first == 0xFF
    || String(validating: text, as: UTF8.self) == nil || hasOddParts(text)
  if isOdd { return }
  let theirs = (try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)) != nil
  fuzzRequire(theirs || !isValid, "JSON to the scanner only")
  fuzzRequire(isValid || !theirs, "JSON to Foundation only")
}

/// What the two judge in different ways: \u escapes of lone surrogates, numbers with long exponents or very many
/// digits, a comma behind the last item, nesting deeper than the scanner goes.
private func hasOddParts(_ text: UnsafeRawBufferPointer) -> Bool {
  var depth = 0
  var digits = 0
  var isInExponent = false
  var before: UInt8 = 0
  for (index, byte) in text.enumerated() {
    if byte == UInt8(ascii: "u") && index > 0 && text[index - 1] == UInt8(ascii: "\\") && index + 1 < text.count
      && text[index + 1] | 0x20 == UInt8(ascii: "d")
    {
      return true
    }
    if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { depth += 1 }
    if depth > JSONScanner.maxDepth { return true }
    if before == UInt8(ascii: ",") && (byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}")) { return true }
    if byte != 0x20 && byte != 0x0A && byte != 0x0D && byte != 0x09 { before = byte }
    if byte &- UInt8(ascii: "0") < 10 {
      digits += 1
      if digits > (isInExponent ? 2 : 100) { return true }
    } else {
      isInExponent = byte | 0x20 == UInt8(ascii: "e") || (isInExponent && digits == 0)
      if byte != UInt8(ascii: ".") { digits = 0 }
    }
  }
  return false
}
