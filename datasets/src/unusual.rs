//! Texts that people send by accident: what a model was not taught, and a private run meets all the same.
//!
//! Ranges observed over such texts show how far a student's values go when the text is no text: one word over and over,
//! punctuation, other scripts, code, numbers. Everything here is written for this purpose.

/// Words that are repeated, and how often; tokenizers that split them only make the texts longer.
const REPEATED: [&str; 10] = ["no", "good", "not", "the", "movie", ".", "!", "7", "x", "的"];
const TIMES: [usize; 5] = [2, 12, 60, 200, 510];

/// One piece each of the kinds that are told apart by their script or form.
const PIECES: [&str; 24] = [
    "昨天晚上我们去看了一部新电影，故事讲的是一个小镇上的邮差和他丢失的信件。画面很美，音乐也很动人，可是结尾太突然，让人觉得意犹未尽。",
    "Вчера вечером мы смотрели новый фильм о почтальоне и потерянных письмах. Снято красиво, музыка трогает, но конец слишком внезапный.",
    "شاهدنا أمس فيلما جديدا عن ساعي بريد فقد رسائله. الصورة جميلة والموسيقى مؤثرة، لكن النهاية جاءت مفاجئة جدا.",
    "कल रात हमने एक डाकिए और उसकी खोई हुई चिट्ठियों के बारे में एक नई फ़िल्म देखी। दृश्य सुंदर थे, पर अंत बहुत अचानक आया।",
    "昨日の夜、郵便配達人と失われた手紙についての新しい映画を見ました。映像は美しく、音楽も心に残りますが、終わりが急すぎました。",
    "어젯밤 우리는 우체부와 잃어버린 편지에 관한 새 영화를 보았다. 화면은 아름답고 음악도 감동적이지만 결말이 너무 갑작스러웠다.",
    "Χθες το βράδυ είδαμε μια καινούργια ταινία για έναν ταχυδρόμο και τα χαμένα γράμματά του. Όμορφη, αλλά τελειώνει απότομα.",
    "Gestern Abend sahen wir einen neuen Film über einen Briefträger und seine verlorenen Briefe. Schöne Bilder, rührende Musik, doch das Ende kommt zu plötzlich und überzeugt nicht.",
    "Hier soir nous avons vu un nouveau film sur un facteur et ses lettres perdues; l'image est belle, mais la fin arrive trop vite.",
    "fn main() { let mut sum = 0u64; for (i, x) in [3, 1, 4].iter().enumerate() { sum += x << i; } println!(\"{sum:?}\"); }",
    "def mean(xs):\n    return sum(xs) / len(xs) if xs else 0.0\n\nassert mean([1, 2, 3]) == 2.0",
    "for (int i = 0; i < n; i++) { if (a[i] != NULL && *a[i] > max) max = *a[i]; } return max;",
    "SELECT name, COUNT(*) AS n FROM letters WHERE sent_at >= '2024-01-01' GROUP BY name HAVING n > 3 ORDER BY n DESC;",
    "2024-11-30T02:17:04.512Z WARN [worker-7] db.pool: timeout after 3000 ms (10.0.3.17:5432), retry 2/5, trace=9f3c1e77",
    "3.14159 -42 1e-9 0x7fff 1,000,000 12:45 99.9% 555-0199 2024-02-29 1/3 007 6.022e23",
    "\\frac{\\partial u}{\\partial t} = \\alpha \\nabla^2 u, \\quad \\sum_{k=0}^{\\infty} \\frac{x^k}{k!} = e^x, \\left\\| A \\right\\|_2 \\le 1",
    "SGVsbG8sIFdvcmxkISBUaGlzIGlzIG5vdCBhIHNlbnRlbmNlLg== qL8x3Zt0Pp9vUe4M1sYwKd7RfHbJcN2g",
    "😀 😂 🎬 🍿 👍🏽 👎 ❤️ 🔥 💯 😭 🤷‍♂️ 🇫🇷 ✨ 🥱",
    "[MASK] [MASK] [UNK] [SEP] [CLS] [PAD] [MASK]",
    "<div class=\"card\"><a href=\"https://example.org/?q=1&p=2\">more</a></div> {\"id\": 17, \"tags\": [\"a\", null]}",
    "?!?!?! ... --- ;;; ((( ))) *** ### $$$ %%% @@@ &&& ~~~ ||| ___",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "thiss moovie wsa nto tht godo, i wuold nott reccomend itt too anyoone",
    "colourless green ideas sleep furiously while seven hollow teapots argue about the weight of tuesday",
];
/// How long the pieces are made, in characters; the last is beyond any model's positions.
const LENGTHS: [usize; 3] = [0, 400, 4000];

/// Texts of all kinds, from two tokens to more than a model reads, alone or each with a second one: itself or the next. The same
/// ones every time.
pub fn unusual_texts(pairs: bool) -> Vec<(String, Option<String>)> {
    let texts = texts();
    let second = |at: usize| pairs.then(|| texts[(at + at % 2) % texts.len()].clone());
    texts.iter().enumerate().map(|(at, text)| (text.clone(), second(at))).collect()
}

fn texts() -> Vec<String> {
    let repeated = REPEATED.iter().flat_map(|word| TIMES.iter().map(move |times| vec![*word; *times].join(" ")));
    let pieces = PIECES.iter().enumerate().flat_map(|(at, piece)| {
        // a third of the pieces at each length: long texts are what takes time
        let long = LENGTHS[at % LENGTHS.len()];
        let times = (long / piece.chars().count()).max(1);
        [(*piece).to_string(), vec![*piece; times].join(" ")].into_iter().take(if times > 1 { 2 } else { 1 })
    });
    repeated.chain(pieces).chain([PIECES.join(" ")]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn they_are_many_and_none_is_there_twice() {
        let texts = texts();
        assert!(texts.len() > 80, "{} texts", texts.len());
        assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len());
        assert!(texts.iter().any(|text| text.len() > 4000) && texts.iter().all(|text| !text.trim().is_empty()));
        let pairs = unusual_texts(true);
        assert!(pairs.iter().all(|(_, second)| second.is_some()) && pairs[0].1.as_ref() == Some(&pairs[0].0));
        assert!(unusual_texts(false).iter().all(|(_, second)| second.is_none()));
    }
}
