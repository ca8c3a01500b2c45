// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText

/// Text in: what sets an option, and the sentences for those that can't be set.
extension ClientOptions {
  package enum Problem {
    case unknownOption(String)
    case badValue(String)
  }

  /// Sets one option; nil if all is well, else the sentence for the caller.
  package mutating func set(_ name: String, _ value: String) -> Problem? {
    guard let key = OptionTable.find(name) else {
      return .unknownOption(sentence("unknown option \"\(quoted(name))\"\(suggestion(for: name))"))
    }
    return choose(key, value)
  }

  mutating func set(_ key: OptionKey, _ value: String) -> Problem? {
    switch key.kind {
    case .header, .list, .text:
      return setByForm(key, value)
    case .choice:
      guard let place = key.place(of: value) else { return problem(key, value) }
      setWord(key, place: place)
    case .boolean:
      guard let flag = OptionValue.boolean(value) else { return problem(key, value) }
      setFlag(key, flag)
    case .duration:
      guard let time = OptionValue.duration(value), key.takes(time) else { return problem(key, value) }
      setDuration(key, time)
    case .size:
      guard let size = OptionValue.size(value), key.takes(size) else { return problem(key, value) }
      setNumber(key, Int(size))
    case .integer:
      guard let number = OptionValue.integer(value), key.takes(number) else { return problem(key, value) }
      setNumber(key, Int(number))
    case .number:
      guard let number = OptionValue.thousandths(value), key.takes(number) else { return problem(key, value) }
      setNumber(key, Int(number))
    }
    return nil
  }

  private mutating func setByForm(_ key: OptionKey, _ value: String) -> Problem? {
    let count = value.byteCount
    if key.form == .template || key.kind == .text {
      if count == 0 || (key.kind == .text && key.maximum > 0 && Int64(count) > key.maximum) { return problem(key, value) }
    }
    switch key.form {
    case .template: return parseTemplate(key, value)
    case .pattern: return parsePattern(key, value)
    case .jsonPath: return parsePath(key, value)
    case .own: return setOwn(key, value)
    case .path, .text, .line, .none:
      for byte in value.bytes where byte == 0 || (key.form == .line && (byte < 0x20 || byte == 0x7F)) {
        return problem(key, value)
      }
      setText(key, value)
      return nil
    }
  }

  private mutating func parseTemplate(_ key: OptionKey, _ value: String) -> Problem? {
    switch Template.parse(value.bytes) {
    case .failure(let wrong): return problem(key, wrong)
    case .success(let template):
      let places = key.places
      if template.usesKeys != places.contains(.keys) || (template.usesRequest && !places.contains(.request)) {
        return problem(key, value)
      }
      setTemplate(key, template)
      return nil
    }
  }

  private mutating func parsePattern(_ key: OptionKey, _ value: String) -> Problem? {
    switch Pattern.parse(value.bytes) {
    case .failure(let wrong): return problem(key, wrong)
    case .success(let pattern):
      let places = key.places
      if (pattern.usesKey && !places.contains(.key)) || (pattern.usesID && !places.contains(.id)) {
        return problem(key, value)
      }
      addPattern(key, pattern)
      return nil
    }
  }

  private mutating func parsePath(_ key: OptionKey, _ value: String) -> Problem? {
    if key.most > 0 && pathCount(key) >= key.most { return problem(key, value) }
    switch JSONPath.parse(value.bytes) {
    case .failure(let wrong): return problem(key, wrong)
    case .success(let path):
      setPath(key, path)
      return nil
    }
  }

  // MARK: Sentences

  func problem(_ key: OptionKey, _ value: String) -> Problem {
    if key.isSecret {
      return .badValue(sentence("option \(key.name) does not take this; allowed: \(key.allowed)"))
    }
    if key.form == .template {
      // The text may hold a key.
      return .badValue(sentence("option \(key.name) does not take this text; allowed: 1 to 4096 bytes, \(key.allowed)"))
    }
    let hint = OptionValue.hint(key.kind)
    return .badValue(
      sentence("option \(key.name) does not take \"\(quoted(value))\"; allowed: \(key.allowed)\(hint)"))
  }

  func problem(_ key: OptionKey, _ problem: PatternProblem) -> Problem {
    .badValue(sentence("option \(key.name): \(problem.text)"))
  }

  /// ", did you mean ..." for a name that differs from a known one in few letters.
  private func suggestion(for name: String) -> String {
    var best = ""
    var bestDistance = 4
    var rows = OptionTable.texts.rows
    while rows.next() != nil {
      let known = text(rows.text(0))
      let distance = editDistance(known.bytes, name.bytes, limit: bestDistance)
      if distance < bestDistance {
        best = known
        bestDistance = distance
      }
    }
    return best.hasNoBytes ? "" : sentence("; did you mean \(best)?")
  }
}
