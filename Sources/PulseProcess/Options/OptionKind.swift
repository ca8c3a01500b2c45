// SPDX-License-Identifier: Apache-2.0
import PulseText

/// What the text of an option is.
package enum OptionKind: Sendable {
  case duration, size, integer, number, boolean, text, choice, header, list

  package var name: Literal {
    switch self {
    case .duration: "duration"
    case .size: "size"
    case .integer: "integer"
    case .number: "number"
    case .boolean: "boolean"
    case .text: "text"
    case .choice: "choice"
    case .header: "header"
    case .list: "list"
    }
  }
}
