package text

// stopEnglish tells the function words of English, question words, auxiliaries,
// contractions without their apostrophe, and the fillers of chats among them.
// "may" is not: it is a month.
func stopEnglish(w string) bool {
	switch w {
	case "a", "about", "above", "across", "actually", "after", "afterwards", "again", "against", "ah", "aint",
		"all", "almost", "alone", "along", "already", "also", "although", "always", "am", "among", "amongst",
		"an", "and", "another", "any", "anybody", "anyhow", "anyone", "anything", "anyway", "anyways", "anywhere",
		"are", "arent", "around", "as", "at", "aw", "be", "became", "because", "been", "before", "beforehand",
		"behind", "being", "below", "beside", "besides", "between", "beyond", "both", "but", "by", "can",
		"cannot", "cant", "could", "couldnt", "did", "didnt", "do", "does", "doesnt", "doing", "dont", "during",
		"each", "either", "else", "elsewhere", "enough", "etc", "even", "ever", "every", "everybody", "everyone",
		"everything", "everywhere", "except", "few", "for", "from", "further", "gonna", "gotta", "had", "hadnt",
		"has", "hasnt", "have", "havent", "having", "he", "hello", "hence", "her", "here", "hers", "herself",
		"hey", "hi", "him", "himself", "his", "how", "however", "hows", "i", "if", "im", "in", "indeed", "into",
		"is", "isnt", "it", "its", "itself", "ive", "just", "lets", "maybe", "me", "meanwhile", "might",
		"mightnt", "mine", "more", "moreover", "most", "mostly", "much", "must", "mustnt", "my", "myself",
		"neednt", "neither", "nevertheless", "no", "nobody", "none", "nor", "not", "nothing", "now", "nowhere",
		"of", "off", "often", "oh", "ok", "okay", "on", "once", "only", "onto", "or", "other", "others",
		"otherwise", "ought", "our", "ours", "ourselves", "out", "over", "own", "perhaps", "quite", "rather",
		"really", "same", "shall", "shant", "she", "should", "shouldnt", "since", "so", "some", "somebody",
		"somehow", "someone", "something", "sometime", "sometimes", "somewhere", "still", "such", "than", "that",
		"thats", "the", "their", "theirs", "them", "themselves", "then", "there", "therefore", "theres", "these",
		"they", "theyre", "theyve", "this", "those", "though", "through", "throughout", "thus", "to", "too",
		"toward", "towards", "under", "unless", "until", "up", "upon", "us", "very", "via", "wanna", "was",
		"wasnt", "we", "well", "were", "werent", "weve", "what", "whatever", "whats", "when", "whenever", "where",
		"whereas", "wheres", "wherever", "whether", "which", "whichever", "while", "who", "whoever", "whom",
		"whos", "whose", "why", "will", "with", "within", "without", "wont", "would", "wouldnt", "wow", "yeah",
		"yep", "yes", "yet", "you", "youd", "youll", "your", "youre", "yours", "yourself", "yourselves", "youve":
		return true
	}
	return false
}

// stopPortuguese is stopEnglish for Portuguese, folded; the forms of ser, estar,
// ter and haver are among them, those that ser shares with ir too.
//
//nolint:misspell // it is Portuguese
func stopPortuguese(w string) bool {
	switch w {
	case "a", "acaso", "agora", "ah", "ai", "ainda", "alem", "algo", "alguem", "algum", "alguma", "algumas",
		"alguns", "ali", "alias", "ante", "antes", "ao", "aonde", "aos", "apenas", "apesar", "apos", "aquela",
		"aquelas", "aquele", "aqueles", "aqui", "aquilo", "as", "assim", "ate", "atraves", "bem", "cada", "ca",
		"caso", "cima", "com", "comigo", "como", "conforme", "conosco", "contigo", "contra", "contudo",
		"cuja", "cujas", "cujo", "cujos", "da", "dai", "daquela", "daquelas", "daquele", "daqueles", "daquilo",
		"das", "de", "dela", "delas", "dele", "deles", "demais", "dentro", "depois", "desde", "dessa", "dessas",
		"desse", "desses", "desta", "destas", "deste", "destes", "deve", "devem", "deveria", "disso", "disto",
		"do", "dos", "durante", "e", "ela", "elas", "ele", "eles", "em", "embora", "enquanto", "entanto", "entao",
		"entre", "era", "eram", "eramos", "eras", "es", "essa", "essas", "esse", "esses", "esta", "estamos",
		"estao", "estar", "estara", "estaria", "estas", "estava", "estavam", "estavamos", "estavas", "este",
		"esteja", "estejam", "estes", "esteve", "estive", "estivemos", "estiver", "estivera", "estiveram",
		"estiverem", "estivesse", "estivessem", "estou", "eu", "foi", "for", "fora", "foram", "forem", "fosse",
		"fossem", "ha", "haja", "hajam", "havia", "haviam", "houve", "houver", "houvera", "houveram", "houvesse",
		"isso", "isto", "ja", "la", "lhe", "lhes", "lo", "logo", "mais", "mas", "me", "mediante", "meio", "menos",
		"mesma", "mesmas", "mesmo", "mesmos", "meu", "meus", "mim", "minha", "minhas", "muita", "muitas", "muito",
		"muitos", "na", "nada", "nao", "naquela", "naquelas", "naquele", "naqueles", "nas", "nela", "nelas",
		"nele", "neles", "nem", "nenhum", "nenhuma", "nessa", "nessas", "nesse", "nesses", "nesta", "nestas",
		"neste", "nestes", "ninguem", "nisso", "nisto", "no", "nos", "nossa", "nossas", "nosso", "nossos", "num",
		"numa", "nunca", "o", "oi", "ola", "onde", "ora", "os", "ou", "outra", "outras", "outro", "outros",
		"para", "pela", "pelas", "pelo", "pelos", "per", "perante", "pois", "por", "porem", "porque", "portanto",
		"porventura", "pouca", "poucas", "pouco", "poucos", "pq", "pra", "pras", "pro", "pros", "propria",
		"proprio", "qual", "quais", "quaisquer", "qualquer", "quando", "quanta", "quantas", "quanto", "quantos",
		"que", "quem", "se", "seja", "sejam", "sejamos", "sem", "sempre", "sendo", "ser", "sera", "serao",
		"serei", "seremos", "seria", "seriam", "seu", "seus", "si", "sido", "sim", "so", "sob", "sobre", "somos",
		"sou", "sua", "suas", "ta", "tais", "tal", "talvez", "tambem", "tampouco", "tanta", "tantas", "tanto",
		"tantos", "tao", "te", "tem", "temos", "tenha", "tenham", "tenhamos", "tenho", "tens", "ter", "tera",
		"terao", "terei", "teria", "teriam", "teu", "teus", "teve", "ti", "tido", "tinha", "tinham", "tinhamos",
		"tive", "tivemos", "tiver", "tivera", "tiveram", "tiverem", "tivesse", "tivessem", "to", "toda", "todas",
		"todavia", "todo", "todos", "tu", "tua", "tuas", "tudo", "um", "uma", "umas", "uns", "vc", "vcs", "voce",
		"voces", "vos", "vossa", "vossas", "vosso", "vossos", "sao":
		return true
	}
	return false
}

// stopForeign tells frequent function words of Spanish, French, Italian, German
// and Dutch, folded, those that Portuguese or English has as well among them. Words
// that mean something else there are left out: die, war, hat, met, van, sei, mes.
func stopForeign(w string) bool {
	switch w {
	case "el", "los", "las", "del", "muy", "pero", "con", "una", "unos", "unas", "y", "hay", "tambien", "cuando",
		"donde", "quien", "estoy", "tengo", "tiene", "nosotros", "ellos", "ella", "usted", "mucho", "hoy", "ayer",
		"yo", "su", "sus", "eres", "soy", "mas", "porque", "hasta", "desde", "sobre", "esto", "eso", "ese", "mi",
		"mis", "tu", "que", "de", "se", "te", "por", "para", "como", "esta", "la", "lo", "es", "en", "sin",
		"si", "fue", "este", "entre", "todo", "nada", "era", "son", "un", "otra", "otro", "bien", "gracias":
		return true
	case "les", "des", "est", "et", "une", "du", "dans", "pour", "avec", "sur", "qui", "ne", "pas", "je",
		"il", "elle", "nous", "vous", "ils", "mais", "ce", "cette", "ces", "sont", "ai", "etait", "aussi", "chez",
		"mon", "quand", "ou", "leur", "suis", "au", "aux", "gli", "di", "che", "non", "per", "sono", "della",
		"delle", "nel", "nella", "anche", "piu", "ho", "hanno", "questo", "questa", "perche", "mia", "mio",
		"ieri", "oggi", "molto", "da", "e", "cosa", "ed", "alla", "dove", "quando":
		return true
	case "der", "das", "und", "ist", "nicht", "ich", "er", "sie", "wir", "ihr", "ein", "eine", "einen", "mit",
		"auf", "fur", "von", "zu", "dem", "sich", "auch", "wie", "aber", "bin", "habe", "wird", "sind", "im",
		"noch", "nach", "heute", "gestern", "was", "in", "am", "an", "so", "hier", "dann", "wenn", "het",
		"een", "ik", "niet", "zijn", "voor", "maar", "wij", "jij", "naar", "ook", "dat", "wat", "hij", "deze":
		return true
	}
	return false
}
