// SPDX-License-Identifier: Apache-2.0
import PulseText

extension StatusCode {
  /// "PULSEWS_ETIMEOUT", and what it means.
  package static func name(_ code: Int32) -> Literal { text(code, 0, ok: "PULSEWS_OK", unknown: "PULSEWS_UNKNOWN") }

  package static func text(_ code: Int32) -> Literal {
    text(code, 1, ok: "success", unknown: "not a status code of this library")
  }

  @inline(never) private static func text(_ code: Int32, _ column: Int, ok: Literal, unknown: Literal) -> Literal {
    if code == StatusCode.ok.rawValue { return ok }
    var index = 0
    while let entry = at(index) {
      if entry.rawValue == code { return texts[index, column] }
      index &+= 1
    }
    return unknown
  }
}
