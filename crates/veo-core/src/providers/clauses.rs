//! Brings the words of providers into one plain spelling, so that a table can look for them.

/// A list of beginnings of words, divided by `|`, in the spelling of [`clauses`]. A clause has to have one of them. A
/// dot means the end of the clause.
pub(crate) type Beginnings = &'static str;

/// Returns whether a clause has one of the beginnings of words. In a script without spaces, it can be anywhere.
pub(crate) fn has(clause: &str, beginnings: Beginnings) -> bool {
    beginnings.split('|').any(|start| {
        if start.is_ascii() {
            clause.contains(&format!(" {start}"))
        } else {
            clause.contains(start)
        }
    })
}

/// Returns the clauses of a text and of the codes in it. Words are in lower case, with one space before and after each,
/// without fillers, and in simplified Chinese characters: `can't` is `cant`, `PUBLIC_ERROR` is `public error`,
/// `InputImage` is `input image`. The name of a model is one word: `veo-3.1-fast` is `veo31fast`.
pub(crate) fn clauses(text: &str) -> Vec<String> {
    let mut lines = String::new();
    let mut last = ' ';
    let mut letters = text.chars().map(simplified).peekable();
    while let Some(letter) = letters.next() {
        let is_inside = letters.peek().is_some_and(|next| next.is_alphanumeric());
        match letter {
            '\'' | '’' | '‘' | '`' | '´' => continue,
            '.' | '-' | '_' if is_inside && ends_with_model(&lines) => continue,
            '.' | ',' | ':' if is_inside => lines.push(' '),
            // The number of an error belongs to the word in front of the colon: `code: 1005`.
            ':' if lines.ends_with("code") => lines.push(' '),
            '.' | ',' | ':' | ';' | '!' | '?' | '{' | '}' | '\n' => lines.push('\n'),
            '。' | '，' | '：' | '；' | '！' | '？' | '–' | '—' => lines.push('\n'),
            _ if !letter.is_alphanumeric() => lines.push(' '),
            _ => {
                let is_other_script = last.is_ascii() != letter.is_ascii();
                let is_capital = last.is_lowercase() && letter.is_uppercase();
                if is_other_script || is_capital {
                    lines.push(' ');
                }
                lines.extend(letter.to_lowercase());
            }
        }
        last = letter;
    }
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines.map(clause).collect()
}

/// The words that say nothing about a reason.
const FILLERS: &str = "the a an this that these those your our its any requested selected specified chosen given permanently";

fn clause(line: &str) -> String {
    let is_filler = |word: &&str| FILLERS.split(' ').any(|filler| filler == *word);
    let words = line.split_whitespace().filter(|word| !is_filler(word));
    let words: Vec<_> = words.collect();
    format!(" {} .", words.join(" "))
}

fn ends_with_model(lines: &str) -> bool {
    let word = lines.rsplit([' ', '\n']).next();
    word.is_some_and(|word| word.starts_with("veo"))
}

/// The traditional characters in the words of the table. `SIMPLIFIED` has the simplified ones in the same order.
const TRADITIONAL: &str = "臨產僅眾兒關內則務啟響圖對盡幀應廢開異棄當護擁攔擠數無時條標檢測現發線結統維規視觸許識詞\
    譯誤請調負敗賬帳費載輸過運違連錯長閉隊頻額風飽號後審權營餘夠墊並暫範準臺參終濾該黃別資機戶凍結單區";
const SIMPLIFIED: &str = "临产仅众儿关内则务启响图对尽帧应废开异弃当护拥拦挤数无时条标检测现发线结统维规视触许识词\
    译误请调负败账账费载输过运违连错长闭队频额风饱号后审权营余够垫并暂范准台参终滤该黄别资机户冻结单区";

fn simplified(letter: char) -> char {
    TRADITIONAL
        .chars()
        .zip(SIMPLIFIED.chars())
        .find(|(traditional, _)| *traditional == letter)
        .map_or(letter, |(_, simplified)| simplified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_clauses_of_plain_words() {
        let table: [(&str, &[&str]); 9] = [
            ("PUBLIC_ERROR_MINOR", &[" public error minor ."]),
            (
                "InputImageSensitive.Privacy",
                &[" input image sensitive privacy ."],
            ),
            (
                "We can’t  create `this` video.",
                &[" we cant create video ."],
            ),
            (
                "For model veo3, 4k is new",
                &[" for model veo3 .", " 4k is new ."],
            ),
            (
                "models/veo-3.1-fast_4k: gone",
                &[" models veo31fast4k .", " gone ."],
            ),
            (
                r#"{"code":404,"message":"no"}"#,
                &[" code 404 .", " message .", " no ."],
            ),
            (
                "模型veo3已下線，請稍後",
                &[" 模型 veo3 已下线 .", " 请稍后 ."],
            ),
            ("error code: 1010", &[" error code 1010 ."]),
            ("", &[]),
        ];
        for (text, wanted) in table {
            assert_eq!(clauses(text), wanted, "{text}");
        }
    }

    #[test]
    fn each_traditional_character_has_a_simplified_one() {
        assert_eq!(TRADITIONAL.chars().count(), SIMPLIFIED.chars().count());
    }
}
