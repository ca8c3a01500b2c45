// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Puts a JSON object together.
struct JSONObject {
  private var body: Sentence = ""

  @inline(never)
  mutating func add(_ key: Literal, raw: String) {
    body.add(body.bytes.isEmpty ? "{" : ",")
    body.add("\"\(key)\":\(raw)")
  }

  @inline(never)
  mutating func add(_ key: Literal, string: String) { add(key, raw: PulseText.sentence("\(json: string)")) }
  mutating func add(_ key: Literal, _ number: UInt64) { add(key, raw: PulseText.sentence("\(number)")) }
  mutating func add(_ key: Literal, _ number: Int) { add(key, raw: PulseText.sentence("\(number)")) }

  var sentence: Sentence { body + "}" }
  var text: String { PulseText.sentence(sentence) }
}
