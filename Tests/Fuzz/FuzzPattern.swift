// SPDX-License-Identifier: Apache-2.0

/// A text, as a pattern, path and template, meets a message. Input: the text, a NUL, the message. White space between
/// the message's tokens makes no difference, a pattern matches its own text, and what a path finds is JSON.
func fuzzPattern(_ bytes: UnsafeRawBufferPointer) {
  guard let split = bytes.firstIndex(of: 0) else { return }
  let text = Array(bytes[..<split])
  let message = Array(bytes[(split + 1)...])
  let spaced = fuzzSpaced(message)

  switch Pattern.parse(text) {
  case .failure(let problem): fuzzRequirePlain(problem.text)
  case .success(let pattern):
    fuzzRequire(fuzzExact(text, pattern.matches), "a pattern does not match its own text")
    let isMatch = fuzzExact(message, pattern.matches)
    if pattern.form == .json {
      fuzzRequire(fuzzExact(spaced, pattern.matches) == isMatch, "white space makes a difference")
      fuzzRequire(!isMatch || fuzzIsValid(message), "a match in what is not JSON")
      fuzzRequire(fuzzExact(fuzzSpaced(text), pattern.matches), "a pattern does not match itself with white space")
    } else if pattern.form == .whole {
      fuzzRequire(isMatch == (text == message), "not byte for byte")
    }
  }
  switch PatternList.parse(lines: text) {
  case .failure(let problem): fuzzRequirePlain(problem.text)
  case .success(let list): _ = fuzzExact(message, list.matches)
  }

  switch JSONPath.parse(text) {
  case .failure(let problem): fuzzRequirePlain(problem.text)
  case .success(let path):
    let value = fuzzExact(message) { path.value(in: $0).map { Array($0) } }
    let other = fuzzExact(spaced) { path.value(in: $0).map { Array($0) } }
    if let value, let other {
      fuzzRequire(fuzzIsValid(value), "what a path finds is not JSON")
      fuzzRequire(fuzzTight(value) == fuzzTight(other), "a path finds another value behind white space")
    } else {
      fuzzRequire(value == nil && other == nil, "a path finds a value behind white space only, or only without")
    }
  }

  var number: UInt64 = 0
  for byte in message.prefix(8) { number = number << 8 | UInt64(byte) }
  switch Template.parse(text) {
  case .failure(let problem): fuzzRequirePlain(problem.text)
  case .success(let template):
    var out: [UInt8] = [1, 2]
    let realtime = Int64(bitPattern: number)
    let isFilled = fuzzExact(message) {
      template.render(into: &out, id: number, realtime: realtime, keys: [message, text], request: $0)
    }
    fuzzRequire(out.starts(with: [1, 2]) && (isFilled || out.count == 2), "a template touches what was there")
    fuzzRequire(isFilled || template.usesRequest, "a template without a path is not filled")
  }

  var quoted: [UInt8] = []
  JSONText.appendString(message, to: &quoted)
  fuzzExact(quoted) {
    var scanner = JSONScanner($0)
    guard scanner.next() == UInt8(ascii: "\""), let string = scanner.readString(), scanner.isAtEnd() else {
      return fuzzRequire(false, "a string is not JSON")
    }
    fuzzRequire(message.withUnsafeBytes { string.equals($0) }, "a string is another one")
    var decoded: [UInt8] = []
    string.append(to: &decoded)
    fuzzRequire(decoded == message, "a string decodes to another one")
  }
  fuzzRequire(fuzzIsValid(message) == fuzzIsValid(spaced), "white space makes a difference to what is JSON")
}

/// In memory that ends with the bytes.
private func fuzzExact<R>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> R) -> R {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { copy.deallocate() }
  copy.copyBytes(from: bytes)
  return body(UnsafeRawBufferPointer(copy))
}

/// In one go and item by item, which have to agree.
private func fuzzIsValid(_ bytes: [UInt8]) -> Bool {
  fuzzExact(bytes) { bytes in
    var scanner = JSONScanner(bytes)
    let isValid = scanner.skipValue() && scanner.isAtEnd()
    var visitor = JSONScanner(bytes)
    let isValidByItems = fuzzVisit(&visitor) && visitor.isAtEnd()
    fuzzRequire(isValid == isValidByItems, "two ways of reading disagree")
    return isValid
  }
}

private func fuzzVisit(_ scanner: inout JSONScanner) -> Bool {
  let first = scanner.next()
  if first == UInt8(ascii: "\"") { return scanner.readString() != nil }
  if first != UInt8(ascii: "{"), first != UInt8(ascii: "[") { return scanner.skipValue() }
  if !scanner.enter() { return false }
  var name = JSONString.empty
  while true {
    switch first == UInt8(ascii: "{") ? scanner.nextMember(&name) : scanner.nextElement() {
    case .end: return true
    case .invalid: return false
    case .item: if !fuzzVisit(&scanner) { return false }
    }
  }
}

/// With white space around all that is not a value, except in strings.
private func fuzzSpaced(_ text: [UInt8]) -> [UInt8] {
  fuzzOutsideStrings(text) { byte in
    switch byte {
    case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ","),
      UInt8(ascii: ":"):
      return [0x20, 0x0A, byte, 0x09, 0x0D, 0x20]
    default: return [byte]
    }
  }
}

/// Without white space, except in strings.
private func fuzzTight(_ text: [UInt8]) -> [UInt8] {
  fuzzOutsideStrings(text) { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 ? [] : [$0] }
}

private func fuzzOutsideStrings(_ text: [UInt8], _ replace: (UInt8) -> [UInt8]) -> [UInt8] {
  var out: [UInt8] = []
  var isInString = false
  var isEscaped = false
  for byte in text {
    if isInString {
      out.append(byte)
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInString = false
      }
    } else {
      out += replace(byte)
      isInString = byte == UInt8(ascii: "\"")
    }
  }
  return out
}
